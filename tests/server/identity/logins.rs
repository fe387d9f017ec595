//! Tokens over time: rotated, revoked, expired, guessed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use backpropd_identity::Role;
use serde_json::json;
use tonic::Code;

use super::wire::{Outcome, call, call_on, channel};
use super::{Keys, OTHER, SECRET, claims, signed, token};
use crate::fixture::{Hands, Server, let_it_look, until};

const INFO: &str = "ServerService/GetServerInfo";

async fn info(server: &Server, token: &str) -> Outcome {
    call(server.address, INFO, &[json!({})], Some(token)).await
}

#[tokio::test]
async fn a_secret_is_replaced_under_load_without_a_failed_call() {
    let keys = Keys::new();
    let server = keys.server().await;
    let [old, new] = [SECRET, OTHER].map(|secret| signed(secret, &claims("alice", Role::Student)));
    let (stop, calls) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    // A client that takes the new token once it is told to.
    let current = Arc::new(std::sync::Mutex::new(old.clone()));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (stop, calls, current) =
                (Arc::clone(&stop), Arc::clone(&calls), Arc::clone(&current));
            let address = server.address;
            tokio::spawn(async move {
                let channel = channel(address).await;
                while !stop.load(Ordering::Relaxed) {
                    let header = format!("Bearer {}", current.lock().expect("not poisoned"));
                    let outcome = call_on(channel.clone(), INFO, &[json!({})], Some(&header)).await;
                    assert_eq!(outcome, Outcome::ok());
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let more = async || {
        let before = calls.load(Ordering::Relaxed);
        until(async || calls.load(Ordering::Relaxed) > before + 50).await;
    };
    more().await;
    assert_eq!(info(&server, &new).await.code, Code::Unauthenticated);
    keys.write("secrets", &format!("{OTHER}\n{SECRET}\n"));
    until(async || {
        let_it_look().await;
        info(&server, &new).await == Outcome::ok()
    })
    .await;
    more().await;
    current.lock().expect("not poisoned").clone_from(&new);
    more().await;
    // Calls that are under way with the old token end first.
    stop.store(true, Ordering::Relaxed);
    for client in load {
        client.await.expect("no call failed");
    }
    keys.write("secrets", OTHER);
    until(async || {
        let_it_look().await;
        info(&server, &old).await.code == Code::Unauthenticated
    })
    .await;
    assert_eq!(info(&server, &new).await, Outcome::ok());
    server.stop().await;
}

#[tokio::test]
async fn a_revoked_person_is_out_at_the_next_look() {
    let keys = Keys::new();
    let server = keys.server().await;
    let [alice, bob] = ["alice", "bob"].map(|name| token(name, Role::Student));
    assert_eq!(info(&server, &alice).await, Outcome::ok());
    keys.write("revoked", "alice\n");
    // One look of the server, which it takes every second.
    let_it_look().await;
    until(async || info(&server, &alice).await.reason == "TOKEN_REVOKED").await;
    assert_eq!(info(&server, &bob).await, Outcome::ok());
    server.stop().await;
}

#[tokio::test]
async fn a_token_that_was_accepted_ends_at_its_time() {
    let (keys, hands) = (Keys::new(), Hands::default());
    let server = Server::with_clock(hands.clock(), |config| keys.set(config)).await;
    let alice = token("alice", Role::Student);
    assert_eq!(info(&server, &alice).await, Outcome::ok());
    hands.set_date(3_700);
    assert_eq!(info(&server, &alice).await.reason, "TOKEN_EXPIRED");
    server.stop().await;
}

#[tokio::test]
async fn an_address_that_guesses_is_told_to_wait_and_valid_tokens_pass() {
    let (keys, hands) = (Keys::new(), Hands::default());
    let server = Server::with_clock(hands.clock(), |config| keys.set(config)).await;
    let alice = token("alice", Role::Student);
    let guess = |number: u64| signed(OTHER, &claims(&format!("g{number}"), Role::Admin));
    let mut limited = 0;
    for number in 0..60 {
        let outcome = info(&server, &guess(number)).await;
        if outcome.reason == "LOGIN_LIMIT" {
            assert_eq!(outcome.code, Code::ResourceExhausted);
            limited += 1;
        } else {
            assert_eq!(outcome.reason, "TOKEN_INVALID");
            assert_eq!(limited, 0, "the first ones are answered");
        }
        // The other people of the same address.
        assert_eq!(info(&server, &alice).await, Outcome::ok());
    }
    assert!(limited >= 20, "{limited}");
    // Who has no token, or an old one, is still told what to do.
    let none = call(server.address, INFO, &[json!({})], None).await;
    assert_eq!(none.reason, "TOKEN_MISSING");
    hands.pass(60);
    assert_eq!(info(&server, &guess(99)).await.reason, "TOKEN_INVALID");
    server.stop().await;
}

#[tokio::test]
async fn a_share_is_a_persons_from_wherever_they_call() {
    let keys = Keys::new();
    let server = Server::with(|config| {
        keys.set(config);
        config.max_sessions_per_address = 2;
    })
    .await;
    let create = [json!({})];
    let method = "SessionService/CreateSession";
    // Two devices of one person share, two persons behind one address do not.
    for person in ["alice", "bob"] {
        for device in 0..3 {
            let mut claims = claims(person, Role::Student);
            claims.jti = Some(format!("{person}-{device}"));
            let token = signed(SECRET, &claims);
            let outcome = call(server.address, method, &create, Some(&token)).await;
            let expected = if device < 2 {
                Code::Ok
            } else {
                Code::ResourceExhausted
            };
            assert_eq!(outcome.code, expected, "{person} {device}");
        }
    }
    server.stop().await;
}
