//! `backpropd models`, `sessions`, `runs` and `watch`: what is on a server.

use std::io::{self, Write as _};
use std::process::ExitCode;

use backpropd_client::{Client, pb};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use super::answers::model_line;
use super::connection::{self, connect};
use super::{Failure, grade, serve};

pub(super) const MODELS: &str = "models";
pub(super) const SESSIONS: &str = "sessions";
pub(super) const RUNS: &str = "runs";
pub(super) const WATCH: &str = "watch";
/// Items of a page.
const PAGE: i32 = 1000;

pub(super) fn models_command() -> Command {
    Command::new(MODELS)
        .about("List the models of a session, show one, or delete it")
        .after_help(
            "Examples:\n  backpropd models sessions/lab\n  backpropd models sessions/lab/models/hw\n  \
             backpropd models sessions/lab/models/hw --delete",
        )
        .arg(name("NAME", "sessions/SESSION, or sessions/SESSION/models/MODEL"))
        .arg(delete("Delete the model"))
        .args(common())
}

pub(super) fn sessions_command() -> Command {
    Command::new(SESSIONS)
        .about(
            "List the sessions of a server that allows it, show one, or delete it with its models",
        )
        .arg(name("NAME", "sessions/SESSION [default: all]").required(false))
        .arg(delete("Delete the session and its models"))
        .args(common())
}

pub(super) fn runs_command() -> Command {
    Command::new(RUNS)
        .about("List the latest runs of a model, show the metrics of one, or stop a run")
        .after_help(
            "Examples:\n  backpropd runs sessions/lab/models/hw\n  backpropd runs sessions/lab/models/hw/runs/r7 --json\n  \
             backpropd runs sessions/lab/models/hw --stop",
        )
        .arg(name(
            "NAME",
            "sessions/SESSION/models/MODEL, or with /runs/RUN one of its runs",
        ))
        .arg(
            Arg::new("stop")
                .long("stop")
                .action(ArgAction::SetTrue)
                .help("Stop the run in progress, or the named one, after its step"),
        )
        .args(common())
}

pub(super) fn watch_command() -> Command {
    Command::new(WATCH)
        .about("Watch a model train, from the next step on, until Ctrl-C")
        .arg(name("MODEL", "sessions/SESSION/models/MODEL"))
        .arg(
            Arg::new("every")
                .long("every")
                .value_name("N")
                .default_value("1")
                .value_parser(clap::value_parser!(i32).range(1..))
                .help("Show every Nth step"),
        )
        .arg(
            Arg::new("once")
                .long("once")
                .action(ArgAction::SetTrue)
                .help("End with the first run that ends"),
        )
        .args(common())
}

fn name(value: &'static str, help: &'static str) -> Arg {
    Arg::new("name").value_name(value).required(true).help(help)
}

fn delete(help: &'static str) -> Arg {
    Arg::new("delete")
        .long("delete")
        .action(ArgAction::SetTrue)
        .help(help)
}

pub(super) fn common() -> impl Iterator<Item = Arg> {
    let json = Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("Print JSON");
    [json, connection::server()]
        .into_iter()
        .chain(connection::credentials())
}

/// Connects, and publishes the text of `work`.
pub(super) fn with_server(
    matches: &ArgMatches,
    work: impl AsyncFnOnce(Client) -> Result<String, Failure>,
) -> Result<ExitCode, Failure> {
    let server = grade::required::<String>(matches, "server")?;
    serve::runtime()?.block_on(async {
        let text = work(connect(server, matches).await?).await?;
        grade::publish(&text, None)?;
        Ok(ExitCode::SUCCESS)
    })
}

pub(super) fn models(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let name = grade::required::<String>(matches, "name")?.clone();
    let is_json = matches.get_flag("json");
    let deletes = matches.get_flag("delete");
    if deletes && !name.contains("/models/") {
        return Err(Failure::usage(format!(
            "--delete: given {name}; name a model, as sessions/SESSION/models/MODEL; `backpropd sessions` deletes sessions"
        )));
    }
    with_server(matches, async |server| {
        if deletes {
            server
                .delete_model(pb::DeleteModelRequest { name: name.clone() })
                .await?;
            return Ok(format!("deleted {name}\n"));
        }
        let models = if name.contains("/models/") {
            let reply = server.get_model(pb::GetModelRequest { name }).await?;
            reply.model.into_iter().collect()
        } else {
            list_models(&server, &name).await?
        };
        Ok(if is_json {
            array(models.iter().map(model_json).collect())
        } else {
            let head = [
                "NAME",
                "NETWORK",
                "PARAMETERS",
                "STEP",
                "UPDATED",
                "TRAINING",
            ];
            table(
                head.map(str::to_owned).to_vec(),
                models.iter().map(model_row).collect(),
            )
        })
    })
}

async fn list_models(server: &Client, session: &str) -> Result<Vec<pb::Model>, Failure> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListModelsRequest {
            session: session.to_owned(),
            page_size: PAGE,
            page_token,
        };
        let page = server.list_models(request).await?;
        all.extend(page.models);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

fn model_row(model: &pb::Model) -> Vec<String> {
    vec![
        model.name.clone(),
        model_line(model),
        model.parameter_count.to_string(),
        model.step.to_string(),
        time(model.update_time.as_ref()),
        if model.training { "yes" } else { "no" }.to_owned(),
    ]
}

fn model_json(model: &pb::Model) -> Value {
    json!({
        "name": model.name,
        "network": model_line(model),
        "parameters": model.parameter_count,
        "step": model.step,
        "weights_digest": model.weights_digest,
        "created": time(model.create_time.as_ref()),
        "updated": time(model.update_time.as_ref()),
        "training": model.training,
        "durable_step": model.durable_step,
    })
}

pub(super) fn sessions(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let name = matches.get_one::<String>("name").cloned();
    let is_json = matches.get_flag("json");
    if matches.get_flag("delete") {
        let Some(name) = name else {
            return Err(Failure::usage(
                "--delete: name the session, as sessions/SESSION",
            ));
        };
        return with_server(matches, async |server| {
            let request = pb::DeleteSessionRequest { name: name.clone() };
            let reply = server.delete_session(request).await?;
            Ok(format!(
                "deleted {name} with {} models\n",
                reply.deleted_models
            ))
        });
    }
    with_server(matches, async |server| {
        let sessions = match name {
            Some(name) => {
                let reply = server.get_session(pb::GetSessionRequest { name }).await?;
                reply.session.into_iter().collect()
            }
            None => list_sessions(&server).await?,
        };
        Ok(if is_json {
            let session = |session: &pb::Session| {
                json!({
                    "name": session.name,
                    "owner": session.owner,
                    "models": session.model_count,
                    "created": time(session.create_time.as_ref()),
                    "expires": time(session.expire_time.as_ref()),
                })
            };
            array(sessions.iter().map(session).collect())
        } else {
            sessions_table(&sessions)
        })
    })
}

/// Sessions, with their owners if they have any: without identities they have none.
fn sessions_table(sessions: &[pb::Session]) -> String {
    let has_owners = sessions.iter().any(|session| !session.owner.is_empty());
    let row = |session: &pb::Session| {
        let owner = has_owners.then(|| session.owner.escape_debug().to_string());
        let others = [
            session.model_count.to_string(),
            time(session.create_time.as_ref()),
            time(session.expire_time.as_ref()),
        ];
        [session.name.clone()]
            .into_iter()
            .chain(owner)
            .chain(others)
            .collect()
    };
    let head = ["NAME"].into_iter().chain(has_owners.then_some("OWNER"));
    let head = head.chain(["MODELS", "CREATED", "EXPIRES"]);
    table(
        head.map(str::to_owned).collect(),
        sessions.iter().map(row).collect(),
    )
}

async fn list_sessions(server: &Client) -> Result<Vec<pb::Session>, Failure> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListSessionsRequest {
            page_size: PAGE,
            page_token,
            ..Default::default()
        };
        let page = server.list_sessions(request).await?;
        all.extend(page.sessions);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

pub(super) fn runs(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let name = grade::required::<String>(matches, "name")?.clone();
    let is_json = matches.get_flag("json");
    let stops = matches.get_flag("stop");
    with_server(matches, async |server| {
        if stops {
            let model = name.split("/runs/").next().unwrap_or_default().to_owned();
            let run = if name.contains("/runs/") {
                name
            } else {
                String::new()
            };
            let request = pb::StopTrainingRequest {
                model,
                run,
                ..Default::default()
            };
            let reply = server.stop_training(request).await?;
            return Ok(if reply.stopped {
                format!("stopped at step {}\n", reply.step)
            } else {
                format!(
                    "no run was in progress; the model is at step {}\n",
                    reply.step
                )
            });
        }
        if name.contains("/runs/") {
            let reply = server.get_run(pb::GetRunRequest { name }).await?;
            let run = reply.run.unwrap_or_default();
            let mut object = run_json(&run);
            object["metrics_every"] = json!(reply.metrics_every);
            object["metrics"] = reply.metrics.iter().map(step_json).collect();
            return Ok(if is_json {
                object.to_string() + "\n"
            } else {
                let steps = reply.metrics.iter().map(|step| step_line(step) + "\n");
                table(run_head(), vec![run_row(&run)]) + "\n" + &steps.collect::<String>()
            });
        }
        let reply = server
            .list_runs(pb::ListRunsRequest { model: name })
            .await?;
        Ok(if is_json {
            array(reply.runs.iter().map(run_json).collect())
        } else {
            table(run_head(), reply.runs.iter().map(run_row).collect())
        })
    })
}

fn run_head() -> Vec<String> {
    let head = ["RUN", "STATE", "STEPS", "OF", "LOSS", "STARTED", "ENDED"];
    head.map(str::to_owned).to_vec()
}

fn state(run: &pb::Run) -> String {
    let state = run.state().as_str_name();
    let state = state.strip_prefix("RUN_STATE_").unwrap_or(state);
    state.to_ascii_lowercase()
}

fn run_row(run: &pb::Run) -> Vec<String> {
    vec![
        run.name.clone(),
        state(run),
        run.steps_done.to_string(),
        run.planned_steps.to_string(),
        run.last_loss
            .map_or(String::new(), |loss| format!("{loss:.6}")),
        time(run.start_time.as_ref()),
        time(run.end_time.as_ref()),
    ]
}

fn run_json(run: &pb::Run) -> Value {
    json!({
        "name": run.name,
        "request_id": run.request_id,
        "state": state(run),
        "first_step": run.first_step,
        "planned_steps": run.planned_steps,
        "steps_done": run.steps_done,
        "last_loss": run.last_loss,
        "learning_rate": run.learning_rate,
        "started": time(run.start_time.as_ref()),
        "ended": time(run.end_time.as_ref()),
    })
}

fn step_json(step: &pb::StepMetrics) -> Value {
    json!({
        "step": step.step,
        "epoch": step.epoch,
        "loss": step.loss,
        "accuracy": step.accuracy,
        "gradient_norm": step.gradient_norm,
        "learning_rate": step.learning_rate,
    })
}

fn step_line(step: &pb::StepMetrics) -> String {
    let accuracy = step.accuracy.map_or(String::new(), |accuracy| {
        format!("  accuracy {:5.1} %", 100.0 * accuracy)
    });
    format!(
        "step {}  epoch {}  loss {:.6}{accuracy}  gradient {:.4}  learning rate {:.6}",
        step.step, step.epoch, step.loss, step.gradient_norm, step.learning_rate
    )
}

pub(super) fn watch(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let request = pb::WatchModelRequest {
        model: grade::required::<String>(matches, "name")?.clone(),
        metrics_every: *grade::required::<i32>(matches, "every")?,
    };
    let (is_json, once) = (matches.get_flag("json"), matches.get_flag("once"));
    let server = grade::required::<String>(matches, "server")?;
    serve::runtime()?.block_on(async {
        let mut watch = connect(server, matches).await?.watch_model(request).await?;
        loop {
            let event = tokio::select! {
                event = watch.next() => event?,
                _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
            };
            let Some(event) = event else {
                return Ok(ExitCode::SUCCESS);
            };
            let ended = matches!(event, pb::watch_model_response::Event::Completed(_));
            // A reader such as `head` may close the pipe early, which is not an error.
            if io::stdout()
                .write_all(shown(&event, is_json).as_bytes())
                .is_err()
                || once && ended
            {
                return Ok(ExitCode::SUCCESS);
            }
        }
    })
}

fn shown(event: &pb::watch_model_response::Event, is_json: bool) -> String {
    use pb::watch_model_response::Event;
    let lines =
        |object: Value, line: String| if is_json { object.to_string() } else { line } + "\n";
    match event {
        Event::Model(model) => lines(
            json!({"model": model_json(model)}),
            format!(
                "{}  {}  at step {}",
                model.name,
                model_line(model),
                model.step
            ),
        ),
        Event::Started(started) => lines(
            json!({"started": {"step": started.step, "planned_steps": started.planned_steps}}),
            format!(
                "run of {} steps from step {}",
                started.planned_steps, started.step
            ),
        ),
        Event::Progress(progress) => {
            let step =
                |step: &pb::StepMetrics| lines(json!({"step": step_json(step)}), step_line(step));
            progress.steps.iter().map(step).collect()
        }
        Event::HeldOut(figures) => {
            let accuracy = figures
                .accuracy
                .map(|accuracy| format!(", accuracy {accuracy:.4}"));
            let fit = figures.determination.map(|fit| format!(", R² {fit:.4}"));
            lines(
                json!({"held_out": {
                    "step": figures.step, "epoch": figures.epoch, "loss": figures.loss, "accuracy": figures.accuracy,
                    "determination": figures.determination, "is_best": figures.is_best,
                }}),
                format!(
                    "held out at step {}: loss {:.6}{}",
                    figures.step,
                    figures.loss,
                    accuracy.or(fit).unwrap_or_default()
                ),
            )
        }
        Event::Completed(completed) => {
            let reason = completed.stop_reason().as_str_name();
            let reason = reason.strip_prefix("STOP_REASON_").unwrap_or(reason);
            let reason = reason.to_ascii_lowercase();
            lines(
                json!({"completed": {
                    "reason": reason, "step": completed.step, "steps_done": completed.steps_done,
                    "final_loss": completed.final_loss, "weights_digest": completed.weights_digest,
                }}),
                format!(
                    "{reason} at step {}, loss {:.6}",
                    completed.step, completed.final_loss
                ),
            )
        }
    }
}

/// RFC 3339, or nothing.
pub(super) fn time(time: Option<&prost_types::Timestamp>) -> String {
    time.map_or(String::new(), ToString::to_string)
}

/// A JSON array on one line.
pub(super) fn array(items: Vec<Value>) -> String {
    Value::Array(items).to_string() + "\n"
}

/// Rows in columns as wide as their widest cell; numbers to the right.
pub(super) fn table(head: Vec<String>, rows: Vec<Vec<String>>) -> String {
    let width = |at: usize| {
        let cells = rows
            .iter()
            .chain([&head])
            .map(|row| row[at].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let is_number =
        |at: usize| !rows.is_empty() && rows.iter().all(|row| row[at].parse::<f64>().is_ok());
    let numbers: Vec<bool> = (0..head.len()).map(is_number).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(at, cell)| {
            let width = widths[at];
            if numbers[at] {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        line.trim_end().to_owned() + "\n"
    };
    [&head].into_iter().chain(&rows).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_aligns_texts_left_and_numbers_right() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let text = table(
            row(["NAME", "N"]),
            vec![row(["long name", "5"]), row(["b", "10"])],
        );
        assert_eq!(text, "NAME        N\nlong name   5\nb          10\n");
    }
}
