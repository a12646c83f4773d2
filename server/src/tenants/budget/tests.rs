//! Tests of the daily budget.

use super::{location::FILE, *};
use anyhow::Context;
use std::fs;

fn budget(folder: &Path, limit: u64) -> anyhow::Result<Arc<DailyBudget>> {
    let limit = NonZeroU64::new(limit).context("a limit")?;
    Ok(Arc::new(DailyBudget::open(limit, folder)?))
}

fn tenant(name: &str) -> Tenant {
    Tenant::Named(name.parse().unwrap())
}

/// Noon of a day in the distant future.
fn noon(day: u32) -> DateTime<Utc> {
    let date = NaiveDate::from_ymd_opt(2100, 1, day).unwrap();
    date.and_hms_opt(12, 0, 0).unwrap().and_utc()
}

/// Noon of today, for tests that open a file again: `open` rejects files from the future.
fn today() -> DateTime<Utc> {
    Utc::now().date_naive().and_hms_opt(12, 0, 0).unwrap().and_utc()
}

#[actix_web::test]
async fn a_budget_is_a_tenants_and_a_models_and_ends_with_the_day() {
    let folder = tempfile::tempdir().unwrap();
    let budget = budget(folder.path(), 10).unwrap();
    let (one, two) = (tenant("one"), tenant("two"));
    for _ in 0..2 {
        budget.take_at(noon(1), &one, "churn", 5).await.unwrap().spend();
    }
    let Err(refused) = budget.take_at(noon(1), &one, "churn@2", 1).await else {
        panic!("all versions share a budget");
    };
    assert!(matches!(refused, BudgetError::Spent { left: 0, .. }), "{refused}");
    assert!(refused.to_string().contains("2100-01-02T00:00:00Z"), "{refused}");
    budget.take_at(noon(1), &one, "price", 10).await.unwrap().spend();
    budget.take_at(noon(1), &two, "churn", 10).await.unwrap().spend();
    budget
        .take_at(noon(1), &Tenant::Anonymous, "churn", 10)
        .await
        .unwrap()
        .spend();
    budget.take_at(noon(2), &one, "churn", 10).await.unwrap().spend();
    // Setting the clock back doesn't give queries back.
    assert!(budget.take_at(noon(1), &one, "churn", 1).await.is_err());
}

#[actix_web::test]
async fn what_was_not_scored_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let budget = budget(folder.path(), 4).unwrap();
    let one = tenant("one");
    drop(budget.take_at(noon(1), &one, "churn", 4).await.unwrap());
    budget.take_at(noon(1), &one, "churn", 4).await.unwrap().spend();
    assert!(budget.take_at(noon(1), &one, "churn", 1).await.is_err());
}

#[actix_web::test]
async fn a_kill_never_gives_queries_away_and_a_stop_loses_none() {
    let folder = tempfile::tempdir().unwrap();
    let one = tenant("one");
    let first = budget(folder.path(), 320).unwrap();
    first.take_at(today(), &one, "churn", 12).await.unwrap().spend();
    // After a crash: steps are ten queries, so twenty count as sent.
    let second = budget(folder.path(), 320).unwrap();
    assert!(second.take_at(today(), &one, "churn", 301).await.is_err());
    second.take_at(today(), &one, "churn", 295).await.unwrap().spend();
    second.close().await.unwrap();
    let third = budget(folder.path(), 320).unwrap();
    assert!(third.take_at(today(), &one, "churn", 6).await.is_err());
    third.take_at(today(), &one, "churn", 5).await.unwrap().spend();
}

#[actix_web::test]
async fn many_at_once_never_take_more_than_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let budget = budget(folder.path(), 100).unwrap();
    let one = tenant("one");
    let asked = (0..150).map(|_| budget.take_at(noon(1), &one, "churn", 1));
    let taken = futures_util::future::join_all(asked).await;
    assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 100);
}

#[actix_web::test]
async fn a_lowered_limit_leaves_nothing_and_the_larger_of_two_counts_holds() {
    let folder = tempfile::tempdir().unwrap();
    let day = Utc::now().date_naive();
    let counts =
        r#"[{"tenant":"one","model":"churn","queries":90},{"tenant":"one","model":"churn","queries":0}]"#;
    fs::write(
        folder.path().join(FILE),
        format!(r#"{{"day":"{day}","counts":{counts}}}"#),
    )
    .unwrap();
    let budget = budget(folder.path(), 10).unwrap();
    let refused = budget
        .take_at(today(), &tenant("one"), "churn", 1)
        .await
        .err()
        .unwrap();
    assert!(refused.to_string().contains("0 are left"), "{refused}");
}

#[test]
fn a_file_that_is_none_is_refused_with_words() {
    let folder = tempfile::tempdir().unwrap();
    for content in ["", "{}", r#"{"day":"yesterday","counts":[]}"#] {
        fs::write(folder.path().join(FILE), content).unwrap();
        let error = format!("{:#}", budget(folder.path(), 1).err().unwrap());
        assert!(error.contains("remove it to count"), "{error}");
    }
    fs::write(folder.path().join(FILE), r#"{"day":"2999-01-01","counts":[]}"#).unwrap();
    let error = format!("{:#}", budget(folder.path(), 1).err().unwrap());
    assert!(error.contains("set the clock"), "{error}");
}
