//! A burst of `issue` with RSA-2048 keys, of which the server has made enough while it was idle.

use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::spawn_local;

use crate::load::percentile_millis;
use crate::scenario::{post, prepare_issue};
use crate::server::{Kind, ROOT, Server};
use crate::{Error, count};

pub(crate) const NAME: &str = "rsa-burst";

const REQUESTS: usize = 200;

pub(crate) struct Burst {
    seconds_to_make: f64,
    seconds: f64,
    cpu_millis_each: f64,
    alone_p50_millis: f64,
    alone_p99_millis: f64,
    all_p99_millis: f64,
}

impl Burst {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "requests": REQUESTS,
            "seconds_to_make_the_keys": self.seconds_to_make,
            "one_after_another_p50_millis": self.alone_p50_millis,
            "one_after_another_p99_millis": self.alone_p99_millis,
            "at_once_seconds": self.seconds,
            "at_once_p99_millis": self.all_p99_millis,
            "at_once_cpu_millis_each": self.cpu_millis_each,
        })
    }

    pub(crate) fn text(&self) -> String {
        format!(
            "{NAME}: {REQUESTS} RSA-2048 keys made ahead in {:.1} s; issued one after another: p50 \
             {:.1} ms, p99 {:.1} ms; at once: {:.2} s for all, p99 {:.0} ms, {:.2} ms CPU each",
            self.seconds_to_make,
            self.alone_p50_millis,
            self.alone_p99_millis,
            self.seconds,
            self.all_p99_millis,
            self.cpu_millis_each,
        )
    }
}

pub(crate) async fn run(program: &Path) -> Result<Burst, Error> {
    let data = Rc::new(TempDir::new()?);
    let config = data.path().join("keys.hcl");
    std::fs::write(&config, format!("rsa_keys_ahead = {REQUESTS}\n"))?;
    let server = Server::start_with(Kind::Signet, program, data, Some(&config)).await?;
    prepare_issue(&server, "rsa", 2048).await?;
    let name = json!({"common_name": "web.example.com", "ttl": "1h"});
    let request = Rc::new(post("/v1/pki/issue/issue", ROOT, &name));

    let seconds_to_make = wait_until_idle(&server).await?;
    let mut connection = server.connect().await?;
    let mut alone = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let began = Instant::now();
        connection.send(&request).await?;
        alone.push(began.elapsed());
    }
    wait_until_idle(&server).await?;

    let cpu = server.cpu_time()?;
    let began = Instant::now();
    let mut tasks = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let (mut connection, request) = (server.connect().await?, request.clone());
        tasks.push(spawn_local(async move {
            let began = Instant::now();
            connection.send(&request).await?;
            Ok::<_, Error>(began.elapsed())
        }));
    }
    let mut all = Vec::with_capacity(REQUESTS);
    for task in tasks {
        all.push(task.await??);
    }
    let seconds = began.elapsed().as_secs_f64();
    let cpu = server.cpu_time()?.saturating_sub(cpu);
    alone.sort_unstable();
    all.sort_unstable();
    Ok(Burst {
        seconds_to_make,
        seconds,
        cpu_millis_each: cpu.as_secs_f64() * 1e3 / count(REQUESTS),
        alone_p50_millis: percentile_millis(&alone, 50),
        alone_p99_millis: percentile_millis(&alone, 99),
        all_p99_millis: percentile_millis(&all, 99),
    })
}

/// The server makes keys as long as it lacks some, which costs it a whole core. Gives the seconds.
async fn wait_until_idle(server: &Server) -> Result<f64, Error> {
    const LOOK_EVERY: Duration = Duration::from_millis(500);
    let began = Instant::now();
    while began.elapsed() < Duration::from_mins(5) {
        let cpu = server.cpu_time()?;
        tokio::time::sleep(LOOK_EVERY).await;
        if server.cpu_time()?.saturating_sub(cpu) < LOOK_EVERY / 20 {
            return Ok(began.elapsed().as_secs_f64());
        }
    }
    Err("the server does not become idle".into())
}
