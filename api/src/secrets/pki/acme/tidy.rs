//! `tidy_acme`: orders that have ended, accounts that nobody uses, keys that nobody bound.

use signet_storage::{Batch, Expect, StorageError, Stored};

use crate::secrets::pki::acme::records::{
    ACCOUNTS, AUTHORIZATIONS, Account, CERTIFICATES, EXTERNAL_KEYS, ExternalKey, ORDERS, Order,
    Status, account_path, authorization_path, certificate_path, external_key_path, order_path,
    thumbprint_path,
};
use crate::secrets::pki::tidy::run::{Run, Stop};

/// Records read in one go.
const PAGE: usize = 100;

pub(in crate::secrets::pki) async fn tidy(run: &Run<'_>) -> Result<(), Stop> {
    let view = &run.engine.env.view;
    let mut after: Option<String> = None;
    loop {
        let page = view
            .scan_records::<Account>(ACCOUNTS, after.as_deref(), PAGE)
            .await?;
        after = page.last().map(|(id, _)| id.clone());
        let is_last = page.len() < PAGE;
        for (id, stored) in page {
            run.tell(|| "Tidying ACME accounts".to_owned());
            run.tidy.pause(run.settings).await?;
            account(run, &id, stored).await?;
        }
        if is_last {
            break;
        }
        tokio::task::yield_now().await;
    }
    external_keys(run).await
}

async fn account(run: &Run<'_>, id: &str, stored: Stored<Account>) -> Result<(), Stop> {
    run.tidy.update(|progress| progress.acme_accounts += 1);
    if orders(run, id).await? > 0 {
        return Ok(());
    }
    let view = &run.engine.env.view;
    let path = account_path(id);
    let buffer_secs = run.settings.acme_account_safety_buffer_secs;
    let mut account = stored.value;
    let mut batch = Batch::default();
    // Whoever orders something at this moment expects the account as it is.
    view.expect(&mut batch, &path, Expect::Version(stored.version));
    let is_valid = account.status == Status::Valid;
    if is_valid && run.is_past(account.created_at, buffer_secs) {
        account.status = Status::Revoked;
        account.ended_at = Some(run.now);
        view.put_record(&mut batch, &path, &account)?;
    } else if !is_valid
        && account
            .ended_at
            .is_none_or(|ended| run.is_past(ended, buffer_secs))
    {
        view.delete(&mut batch, &path);
        view.delete(&mut batch, &thumbprint_path(&account.thumbprint));
    } else {
        return Ok(());
    }
    match view.commit(batch).await {
        Ok(_) if is_valid => run
            .tidy
            .update(|progress| progress.acme_accounts_revoked += 1),
        Ok(_) => {
            // What a crash leaves of these nobody can reach.
            for folder in [AUTHORIZATIONS, CERTIFICATES] {
                view.delete_prefix(&format!("{folder}{id}/")).await?;
            }
            run.tidy
                .update(|progress| progress.acme_accounts_deleted += 1);
        }
        Err(StorageError::Conflict { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Deletes the orders of an account that have ended, and says how many are left.
async fn orders(run: &Run<'_>, account: &str) -> Result<usize, Stop> {
    let view = &run.engine.env.view;
    let folder = format!("{ORDERS}{account}/");
    let mut after: Option<String> = None;
    let mut left = 0;
    loop {
        let page = view
            .scan_records::<Order>(&folder, after.as_deref(), PAGE)
            .await?;
        after = page.last().map(|(id, _)| id.clone());
        let is_last = page.len() < PAGE;
        for (id, stored) in page {
            let order = stored.value;
            let has_ended = match &order.issued {
                Some(issued) => run.is_past(issued.not_after, run.settings.safety_buffer_secs),
                None => run.is_past(order.expires_at, 0),
            };
            if !has_ended {
                left += 1;
                continue;
            }
            run.tidy.pause(run.settings).await?;
            let path = order_path(account, &id);
            let mut batch = Batch::default();
            view.expect(&mut batch, &path, Expect::Version(stored.version));
            view.delete(&mut batch, &path);
            for authorization in &order.authorizations {
                view.delete(&mut batch, &authorization_path(account, authorization));
            }
            if let Some(issued) = &order.issued {
                view.delete(&mut batch, &certificate_path(account, &issued.serial));
            }
            match view.commit(batch).await {
                Ok(_) => run
                    .tidy
                    .update(|progress| progress.acme_orders_deleted += 1),
                Err(StorageError::Conflict { .. }) => left += 1,
                Err(error) => return Err(error.into()),
            }
        }
        if is_last {
            return Ok(left);
        }
    }
}

async fn external_keys(run: &Run<'_>) -> Result<(), Stop> {
    let view = &run.engine.env.view;
    let mut after: Option<String> = None;
    loop {
        let page = view
            .scan_records::<ExternalKey>(EXTERNAL_KEYS, after.as_deref(), PAGE)
            .await?;
        after = page.last().map(|(id, _)| id.clone());
        let is_last = page.len() < PAGE;
        let mut batch = Batch::default();
        for (id, stored) in page {
            run.tidy.pause(run.settings).await?;
            let buffer_secs = run.settings.acme_account_safety_buffer_secs;
            if run.is_past(stored.value.created_at, buffer_secs) {
                view.delete(&mut batch, &external_key_path(&id));
            }
        }
        if !batch.is_empty() {
            view.commit(batch).await?;
        }
        if is_last {
            return Ok(());
        }
    }
}
