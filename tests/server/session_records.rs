//! A session whose record on disk is damaged: told as such, its name stays taken, nothing that it closed is opened.

use std::fs;
use std::path::{Path, PathBuf};

use backpropd::rpc::pb;
use tempfile::TempDir;
use tonic::{Code, Status};

use super::fixture::{
    Server, Training, copy_of, create_in, create_session, get, homework, next, refused, run, train,
};

fn record(folder: &TempDir, session: &str) -> PathBuf {
    folder.path().join(session).join("session.json")
}

async fn export(client: &mut Training, name: &str) -> Result<usize, Status> {
    let name = name.to_owned();
    let reply = client.export_model(pb::ExportModelRequest { name }).await?;
    let mut pieces = reply.into_inner();
    let mut bytes = 0;
    while let Some(piece) = next(&mut pieces).await? {
        bytes += piece.data.len();
    }
    Ok(bytes)
}

async fn look(server: &Server, name: &str) -> Result<pb::Session, Status> {
    let name = name.to_owned();
    let mut sessions = server.sessions().await;
    let reply = sessions.get_session(pb::GetSessionRequest { name }).await?;
    Ok(reply.into_inner().session.expect("a session"))
}

/// An open session and one for grading only, each with a model, and the digest of the first.
async fn kept() -> (TempDir, pb::Model, pb::Model) {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    create_session(&server, "open").await.expect("room");
    let exam = pb::CreateSessionRequest {
        session_id: "exam".to_owned(),
        access: pb::Access::CompareOnly.into(),
        ..Default::default()
    };
    let mut sessions = server.sessions().await;
    sessions.create_session(exam).await.expect("room");
    let mut models = Vec::new();
    for session in ["sessions/open", "sessions/exam"] {
        models.push(create_in(&server, session, homework()).await.expect("room"));
    }
    let exam = models.pop().expect("two");
    let open = models.pop().expect("two");
    let mut client = server.training().await;
    run(&mut client, train(&open, 5)).await.expect("it trains");
    let open = get(&mut client, &open.name).await.expect("it is there");
    server.stop().await;
    (folder, open, exam)
}

type Damage = fn(&Path, &Path);

#[tokio::test]
async fn a_damaged_record_is_told_and_its_name_stays_taken_until_the_session_is_deleted() {
    let (folder, open, exam) = kept().await;
    let damages: [(&str, Damage); 6] = [
        ("a flipped bit in a digit", |file, _| {
            let mut bytes = fs::read(file).expect("it is there");
            let at = bytes.iter().rposition(u8::is_ascii_digit).expect("one");
            bytes[at] ^= 1;
            fs::write(file, bytes).expect("written");
        }),
        ("an access of another name", |file, _| {
            let text = fs::read_to_string(file).expect("text");
            let other = text
                .replace("CompareOnly", "Full")
                .replace("\"lab\"", "\"lib\"");
            let other = if other == text {
                text.replace("Full", "fULL")
            } else {
                other
            };
            fs::write(file, other).expect("written");
        }),
        ("zeros", |file, _| {
            let length = fs::read(file).expect("it is there").len();
            fs::write(file, vec![0; length]).expect("written");
        }),
        ("nothing in it", |file, _| {
            fs::write(file, "").expect("written")
        }),
        ("no file", |file, _| fs::remove_file(file).expect("removed")),
        ("another session's", |file, other| {
            fs::copy(other, file).map(drop).expect("copied");
        }),
    ];
    for (what, damage) in damages {
        let copy = copy_of(&folder);
        let (opened, closed) = (
            record(&copy, "sessions/open"),
            record(&copy, "sessions/exam"),
        );
        // The other's record, undamaged, for the last of them.
        let sound = record(&folder, "sessions/exam");
        damage(&opened, &sound);
        damage(&closed, &record(&folder, "sessions/open"));
        let server = Server::on(&copy, |_| ()).await;
        let mut client = server.training().await;
        for (session, model) in [("open", &open), ("exam", &exam)] {
            let name = format!("sessions/{session}");
            let lost = look(&server, &name).await.expect_err(what);
            refused(&lost, Code::DataLoss, "DATA_LOSS");
            assert!(lost.message().contains(&name), "{lost:?}");
            let lost = get(&mut client, &model.name).await.expect_err(what);
            refused(&lost, Code::DataLoss, "DATA_LOSS");
            let lost = run(&mut client, train(model, 1)).await.err();
            refused(&lost.expect(what), Code::DataLoss, "DATA_LOSS");
            let lost = create_in(&server, &name, homework()).await;
            refused(&lost.expect_err(what), Code::DataLoss, "DATA_LOSS");
            let taken = create_session(&server, session).await.expect_err(what);
            refused(&taken, Code::AlreadyExists, "ALREADY_EXISTS");
        }
        // Its own file says that it may be shown, or that it may not.
        assert!(export(&mut client, &open.name).await.expect(what) > 500);
        let closed = export(&mut client, &exam.name).await.expect_err(what);
        refused(&closed, Code::PermissionDenied, "COMPARE_ONLY");

        let delete = pb::DeleteSessionRequest {
            name: "sessions/open".to_owned(),
        };
        server
            .sessions()
            .await
            .delete_session(delete)
            .await
            .expect(what);
        create_session(&server, "open")
            .await
            .expect("its name is free");
        let gone = get(&mut client, &open.name).await.expect_err("deleted");
        refused(&gone, Code::NotFound, "NOT_FOUND");
        server.stop().await;
        // The damaged one is as it was.
        let server = Server::on(&copy, |_| ()).await;
        look(&server, "sessions/open").await.expect("made anew");
        let lost = look(&server, "sessions/exam").await.expect_err(what);
        refused(&lost, Code::DataLoss, "DATA_LOSS");
        server.stop().await;
    }
}

#[tokio::test]
async fn every_flipped_bit_of_a_record_is_told_and_hides_no_other_session() {
    let (folder, open, _) = kept().await;
    let sound = fs::read(record(&folder, "sessions/exam")).expect("it is there");
    // The reader itself is tried with every bit; here a few, through a start.
    for bit in (0..sound.len() * 8).step_by(499) {
        let copy = copy_of(&folder);
        let mut flipped = sound.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(record(&copy, "sessions/exam"), flipped).expect("written");
        let server = Server::on(&copy, |_| ()).await;
        let lost = look(&server, "sessions/exam").await.expect_err("flipped");
        refused(&lost, Code::DataLoss, "DATA_LOSS");
        let there = get(&mut server.training().await, &open.name).await;
        assert_eq!(there.expect("undamaged"), open);
        server.stop().await;
    }
}
