//! An API server of Kubernetes for tests: objects in memory, with versions, selectors and watches.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, watch};

/// The status with which a request is to be refused.
type Refusal = Box<dyn FnMut(&Request) -> Option<u16> + Send>;

/// Resource (plural), namespace (empty for objects of the cluster) and name.
type Key = (String, String, String);

#[derive(Clone)]
pub(crate) struct FakeKubernetes {
    state: Arc<Mutex<State>>,
    /// Counts changes.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    revision: u64,
    objects: BTreeMap<Key, Value>,
    log: Vec<Change>,
    /// Watches from before this are told that they are too old.
    forgotten: u64,
    watchers: Vec<Watcher>,
    requests: Vec<Request>,
    refusal: Option<Refusal>,
}

#[derive(Clone)]
struct Change {
    revision: u64,
    key: Key,
    before: Option<Value>,
    after: Option<Value>,
}

struct Watcher {
    collection: Collection,
    lines: mpsc::UnboundedSender<Vec<u8>>,
}

#[derive(Clone, Debug, Default)]
struct Collection {
    resource: String,
    namespace: String,
    labels: Vec<(String, String)>,
    fields: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: ReplyBody,
}

pub(crate) enum ReplyBody {
    Whole(Vec<u8>),
    /// Lines of a watch, until nobody sends any more.
    Lines(mpsc::UnboundedReceiver<Vec<u8>>),
}

impl FakeKubernetes {
    pub(crate) fn new() -> Self {
        Self {
            state: Arc::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// What an HTTP request is answered with.
    pub(crate) fn handle(&self, method: &str, path_and_query: &str, body: &[u8]) -> Reply {
        let (path, query) = path_and_query
            .split_once('?')
            .unwrap_or((path_and_query, ""));
        let query = parse_query(query);
        let Some(request) = parse_path(method, path) else {
            return failure(404, "NotFound", path);
        };
        let mut state = self.state();
        state.requests.push(request.clone());
        if let Some(mut refusal) = state.refusal.take() {
            let status = refusal(&request);
            state.refusal = Some(refusal);
            if let Some(status) = status {
                return failure(status, "Refused", "told to");
            }
        }
        let key = key(&request.resource, &request.namespace, &request.name);
        let reply = match method {
            "GET" if request.name.is_empty() => state.list_or_watch(&request, &query),
            "GET" => match state.objects.get(&key) {
                Some(object) => whole(200, object),
                None => failure(404, "NotFound", &request.name),
            },
            "POST" => state.create(&request, body),
            "PUT" => state.replace(key, body),
            "DELETE" => {
                state.change(key, None);
                whole(200, &json!({"kind": "Status", "status": "Success"}))
            }
            _ => failure(405, "MethodNotAllowed", method),
        };
        drop(state);
        self.changes.send_modify(|count| *count += 1);
        reply
    }

    /// Writes an object as somebody else.
    pub(crate) fn put(&self, resource: &str, namespace: &str, name: &str, object: Value) {
        self.state()
            .change(key(resource, namespace, name), Some(object));
        self.changes.send_modify(|count| *count += 1);
    }

    /// Changes an object as somebody else.
    pub(crate) fn edit(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        edit: impl FnOnce(&mut Value),
    ) {
        let mut object = self.get(resource, namespace, name).unwrap();
        edit(&mut object);
        self.put(resource, namespace, name, object);
    }

    pub(crate) fn delete(&self, resource: &str, namespace: &str, name: &str) {
        self.state().change(key(resource, namespace, name), None);
        self.changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        self.state()
            .objects
            .get(&key(resource, namespace, name))
            .cloned()
    }

    pub(crate) fn namespace(&self, name: &str, labels: &Value) {
        let object = json!({"metadata": {"labels": labels}, "status": {"phase": "Active"}});
        self.put("namespaces", "", name, object);
    }

    /// Requests so far that are not reads.
    pub(crate) fn writes(&self, resource: &str) -> Vec<Request> {
        let state = self.state();
        let of_resource = |request: &&Request| request.resource == resource;
        state
            .requests
            .iter()
            .filter(|request| request.method != "GET")
            .filter(of_resource)
            .cloned()
            .collect()
    }

    /// From now on requests for which this gives a status are refused with it.
    pub(crate) fn refuse(&self, refusal: impl FnMut(&Request) -> Option<u16> + Send + 'static) {
        self.state().refusal = Some(Box::new(refusal));
    }

    /// Ends all watches and forgets from when they could go on.
    pub(crate) fn end_watches(&self) {
        let mut state = self.state();
        state.watchers.clear();
        state.log.clear();
        state.revision += 1;
        state.forgotten = state.revision;
    }

    /// Waits for a state; in virtual time, of which there is enough.
    pub(crate) async fn until(&self, what: &str, mut reached: impl FnMut(&Self) -> bool) {
        let mut changes = self.changes.subscribe();
        let waiting = async {
            while !reached(self) {
                changes.changed().await.unwrap();
            }
        };
        let limit = std::time::Duration::from_hours(100);
        tokio::time::timeout(limit, waiting)
            .await
            .unwrap_or_else(|_| panic!("never: {what}; {:?}", self.state().objects.keys()));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn create(&mut self, request: &Request, body: &[u8]) -> Reply {
        let object: Value = serde_json::from_slice(body).unwrap();
        let name = object["metadata"]["name"].as_str().unwrap();
        let key = key(&request.resource, &request.namespace, name);
        if self.objects.contains_key(&key) {
            return failure(409, "AlreadyExists", name);
        }
        whole(201, &self.change(key, Some(object.clone())))
    }

    fn replace(&mut self, key: Key, body: &[u8]) -> Reply {
        let object: Value = serde_json::from_slice(body).unwrap();
        let Some(found) = self.objects.get(&key) else {
            return failure(404, "NotFound", &key.2);
        };
        let version = &object["metadata"]["resourceVersion"];
        if !version.is_null() && *version != found["metadata"]["resourceVersion"] {
            return failure(409, "Conflict", &key.2);
        }
        whole(200, &self.change(key, Some(object.clone())))
    }

    fn change(&mut self, key: Key, after: Option<Value>) -> Value {
        self.revision += 1;
        let revision = self.revision;
        let before = self.objects.remove(&key);
        let after = after.map(|mut object| {
            let kind = kind(&key.0);
            object["kind"] = kind.1.into();
            object["apiVersion"] = kind.0.into();
            if !object["metadata"].is_object() {
                object["metadata"] = Value::Object(Map::new());
            }
            object["metadata"]["name"] = key.2.as_str().into();
            if !key.1.is_empty() {
                object["metadata"]["namespace"] = key.1.as_str().into();
            }
            object["metadata"]["resourceVersion"] = revision.to_string().into();
            self.objects.insert(key.clone(), object.clone());
            object
        });
        let change = Change {
            revision,
            key,
            before,
            after: after.clone(),
        };
        self.watchers.retain(|watcher| {
            let line = watcher.collection.line(&change);
            line.is_none_or(|line| watcher.lines.send(line).is_ok())
        });
        self.log.push(change);
        after.unwrap_or_default()
    }

    fn list_or_watch(&mut self, request: &Request, query: &BTreeMap<String, String>) -> Reply {
        let text = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
        let collection = Collection {
            resource: request.resource.clone(),
            namespace: request.namespace.clone(),
            labels: pairs(text("labelSelector")),
            fields: pairs(text("fieldSelector")),
        };
        if !matches!(text("watch"), "true" | "1") {
            let items: Vec<&Value> = self
                .objects
                .iter()
                .filter(|(key, object)| collection.has(key, object))
                .map(|(_, object)| object)
                .collect();
            let (version, kind) = kind(&request.resource);
            let list = json!({
                "apiVersion": version,
                "kind": format!("{kind}List"),
                "metadata": {"resourceVersion": self.revision.to_string()},
                "items": items,
            });
            return whole(200, &list);
        }
        let since: u64 = text("resourceVersion").parse().unwrap();
        let (lines, receiver) = mpsc::unbounded_channel();
        if since < self.forgotten {
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
                "reason": "Expired", "message": "too old resource version", "code": 410});
            lines.send(line("ERROR", &status)).unwrap();
        } else {
            for change in self.log.iter().filter(|change| change.revision > since) {
                if let Some(line) = collection.line(change) {
                    lines.send(line).unwrap();
                }
            }
            self.watchers.push(Watcher { collection, lines });
        }
        Reply {
            status: 200,
            body: ReplyBody::Lines(receiver),
        }
    }
}

impl Collection {
    fn has(&self, key: &Key, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        key.0 == self.resource
            && (self.namespace.is_empty() || key.1 == self.namespace)
            && self
                .labels
                .iter()
                .all(|(name, value)| labels[name] == value.as_str())
            && self.fields.iter().all(|(path, value)| {
                let (path, wanted) = match path.strip_suffix('!') {
                    Some(path) => (path, false),
                    None => (path.as_str(), true),
                };
                let found = path.split('.').fold(object, |object, name| &object[name]);
                (found == value.as_str()) == wanted
            })
    }

    fn line(&self, change: &Change) -> Option<Vec<u8>> {
        let has = |object: &&Value| self.has(&change.key, object);
        let before = change.before.as_ref().filter(has);
        let after = change.after.as_ref().filter(has);
        match (before, after) {
            (None, None) => None,
            (None, Some(after)) => Some(line("ADDED", after)),
            (Some(_), Some(after)) => Some(line("MODIFIED", after)),
            (Some(before), None) => {
                let mut gone = before.clone();
                gone["metadata"]["resourceVersion"] = change.revision.to_string().into();
                Some(line("DELETED", &gone))
            }
        }
    }
}

fn key(resource: &str, namespace: &str, name: &str) -> Key {
    (resource.into(), namespace.into(), name.into())
}

fn kind(resource: &str) -> (&'static str, &'static str) {
    match resource {
        "configmaps" => ("v1", "ConfigMap"),
        "leases" => ("coordination.k8s.io/v1", "Lease"),
        "namespaces" => ("v1", "Namespace"),
        "pods" => ("v1", "Pod"),
        "secrets" => ("v1", "Secret"),
        other => panic!("{other} are not known here"),
    }
}

fn parse_path(method: &str, path: &str) -> Option<Request> {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (["api", "v1", below @ ..] | ["apis", _, _, below @ ..]) = segments.as_slice() else {
        return None;
    };
    let (namespace, resource, name) = match below {
        ["namespaces"] => ("", "namespaces", ""),
        ["namespaces", name] => ("", "namespaces", *name),
        ["namespaces", namespace, resource] => (*namespace, *resource, ""),
        ["namespaces", namespace, resource, name] => (*namespace, *resource, *name),
        [resource] => ("", *resource, ""),
        _ => return None,
    };
    Some(Request {
        method: method.into(),
        resource: resource.into(),
        namespace: namespace.into(),
        name: name.into(),
    })
}

fn parse_query(query: &str) -> BTreeMap<String, String> {
    pairs(&query.replace('&', ","))
        .into_iter()
        .map(|(name, value)| (name, decoded(&value)))
        .collect()
}

fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_at(2);
        out.push(char::from(u8::from_str_radix(code, 16).unwrap()));
        out.push_str(rest);
    }
    out.replace('+', " ")
}

/// `a=b,c=d`
fn pairs(text: &str) -> Vec<(String, String)> {
    text.split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.into(), value.trim_start_matches('=').into()))
        .collect()
}

fn line(kind: &str, object: &Value) -> Vec<u8> {
    let mut line = json!({"type": kind, "object": object}).to_string();
    line.push('\n');
    line.into_bytes()
}

fn whole(status: u16, body: &Value) -> Reply {
    Reply {
        status,
        body: ReplyBody::Whole(body.to_string().into_bytes()),
    }
}

fn failure(status: u16, reason: &str, message: &str) -> Reply {
    whole(
        status,
        &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "reason": reason, "message": message, "code": status}),
    )
}
