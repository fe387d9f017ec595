//! Who may call what: one table of roles and methods.

use std::fmt::Write as _;

use backpropd_identity::{Identity, Reach, Role};
use tonic::Status;

use crate::host::caller::Caller;
use crate::host::refused::Refused;

/// What each role may do with a method: nothing, or use it on its own sessions, or on all. A method without a name in
/// its request is for all who may call it.
pub struct Rights {
    /// The path of the method, without the slash at its front.
    pub method: &'static str,
    /// In the order of [`Role::ALL`].
    by_role: [Option<Reach>; Role::ALL.len()],
}

const NO: Option<Reach> = None;
const OWN: Option<Reach> = Some(Reach::Own);
const ANY: Option<Reach> = Some(Reach::Any);

/// Everybody.
const ALL: [Option<Reach>; 4] = [ANY, ANY, ANY, ANY];
/// Sees, and changes nothing.
const READ: [Option<Reach>; 4] = [OWN, NO, ANY, ANY];
/// Changes, or takes from one session to another.
const CHANGE: [Option<Reach>; 4] = [OWN, NO, OWN, OWN];
/// Ends something, which an admin may do for others.
const END: [Option<Reach>; 4] = [OWN, NO, OWN, ANY];
/// Sees what a class does.
const TEACH: [Option<Reach>; 4] = [NO, NO, ANY, ANY];
/// Compares with what is kept from students.
const GRADE: [Option<Reach>; 4] = [OWN, ANY, ANY, ANY];

macro_rules! rights {
    ($($service:literal { $($method:literal $by_role:ident,)+ })+) => {
        /// The table. A test holds it against the services.
        pub const TABLE: &[Rights] = &[
            $($(Rights {
                method: concat!("backprop.v1.", $service, "/", $method),
                by_role: $by_role,
            },)+)+
        ];

        fn rights_of(path: &str) -> Option<&'static [Option<Reach>; 4]> {
            match path {
                $($(concat!("/backprop.v1.", $service, "/", $method) => Some(&$by_role),)+)+
                _ => None,
            }
        }
    };
}

rights! {
    "ServerService" {
        "GetServerInfo" ALL,
    }
    "SessionService" {
        "CreateSession" CHANGE,
        "GetSession" READ,
        "ListSessions" READ,
        "DeleteSession" END,
    }
    "DatasetService" {
        "CreateDataset" CHANGE,
        "GetDataset" READ,
        "ListDatasets" READ,
        "DeleteDataset" END,
    }
    "GradingService" {
        "ListAssignments" ALL,
        "GetAssignment" ALL,
        "GradeFormulas" ALL,
        "GradeGradients" GRADE,
        "GetGradingStatistics" TEACH,
    }
    "TrainingService" {
        "CreateModel" CHANGE,
        "TrainBatch" CHANGE,
        "Gradients" READ,
        "Predict" READ,
        "GetModel" READ,
        "ListModels" READ,
        "DeleteModel" END,
        "GetParameters" READ,
        "SetParameters" CHANGE,
        "CheckGradients" READ,
        "WatchModel" READ,
        "ExportModel" READ,
        "ImportModel" CHANGE,
        "StopTraining" END,
        "ListRuns" READ,
        "GetRun" READ,
        "Explain" READ,
        "ApplyGradients" CHANGE,
        "Evaluate" READ,
        "CopyModel" CHANGE,
        "UpdateModel" CHANGE,
    }
}

/// What a role may ask for besides calling a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// `access = COMPARE_ONLY` for a new session or model.
    CompareOnly,
    /// A `reveal` above the server's `reveal_limit`.
    Reveal,
    /// The settings of the server.
    Settings,
}

impl Privilege {
    const ALL: [Self; 3] = [Self::CompareOnly, Self::Reveal, Self::Settings];

    fn is_of(self, role: Role) -> bool {
        match self {
            Self::CompareOnly => matches!(role, Role::Instructor | Role::Admin),
            Self::Reveal => matches!(role, Role::Grader | Role::Instructor | Role::Admin),
            Self::Settings => role == Role::Admin,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::CompareOnly => "access = COMPARE_ONLY for a new session or model",
            Self::Reveal => "a reveal above the server's reveal_limit",
            Self::Settings => "the server's settings",
        }
    }
}

/// Lets the caller name the sessions that its role may use in this method. A path that is not in the table belongs to
/// no service of this API, or to reflection, which every role may use.
///
/// # Errors
/// The role may not call the method.
pub fn check(caller: &Caller, path: &str) -> Result<(), Status> {
    let Some(identity) = caller.identity() else {
        return Ok(());
    };
    let Some(rights) = rights_of(path) else {
        return Ok(());
    };
    match of_role(rights, identity.role) {
        Some(reach) => {
            caller.permit(reach);
            Ok(())
        }
        None => {
            let may = Role::ALL
                .into_iter()
                .filter(|role| of_role(rights, *role).is_some());
            let method = path.rsplit('/').next().unwrap_or_default();
            Err(not_allowed(identity, method.to_owned(), may).into())
        }
    }
}

/// The methods that a role may call, in the order of the table.
pub fn methods_of(role: Role) -> impl Iterator<Item = &'static str> {
    let rows = TABLE.iter().filter(move |row| row.of(role).is_some());
    rows.map(|row| row.method)
}

/// Checks that the caller may ask for this. Without identities everybody may, as far as the settings allow.
///
/// # Errors
/// The caller's role may not.
pub fn check_privilege(caller: &Caller, privilege: Privilege) -> Result<(), Refused> {
    match caller.identity() {
        Some(identity) if !privilege.is_of(identity.role) => {
            let may = Role::ALL.into_iter().filter(|role| privilege.is_of(*role));
            Err(not_allowed(identity, privilege.name().to_owned(), may))
        }
        Some(_) | None => Ok(()),
    }
}

/// Whether the caller has proved to be somebody who may ask for this.
pub fn has_privilege(caller: &Caller, privilege: Privilege) -> bool {
    let identity = caller.identity();
    identity.is_some_and(|identity| privilege.is_of(identity.role))
}

fn of_role(rights: &[Option<Reach>; 4], role: Role) -> Option<Reach> {
    match role {
        Role::Student => rights[0],
        Role::Grader => rights[1],
        Role::Instructor => rights[2],
        Role::Admin => rights[3],
    }
}

fn not_allowed(identity: &Identity, what: String, may: impl Iterator<Item = Role>) -> Refused {
    let needed: Vec<&str> = may.map(Role::name).collect();
    Refused::NotAllowed {
        role: identity.role,
        what,
        needed: needed.join(", "),
    }
}

/// The table in Markdown, for the documentation.
#[must_use]
pub fn table() -> String {
    let mut text =
        String::from("| | student | grader | instructor | admin |\n|---|---|---|---|---|\n");
    for rights in TABLE {
        let (_, method) = rights.method.split_once('/').unwrap_or_default();
        let _ = write!(text, "| {method} |");
        for reach in rights.by_role {
            let cell = match reach {
                None => "–",
                Some(Reach::Own) => "own",
                Some(Reach::Any) => "all",
            };
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    for privilege in Privilege::ALL {
        let _ = write!(text, "| {} |", privilege.name());
        for role in Role::ALL {
            let cell = if privilege.is_of(role) { "yes" } else { "–" };
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    text
}

impl Rights {
    /// What a role may do with the method.
    #[must_use]
    pub fn of(&self, role: Role) -> Option<Reach> {
        of_role(&self.by_role, role)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;
    use crate::rpc::pb::FILE_DESCRIPTOR_SET;

    #[test]
    fn every_method_has_a_row_and_every_row_a_method() {
        let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("compiled protos");
        let mut methods = BTreeSet::new();
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let (package, service) = (file.package(), service.name());
                    methods.insert(format!("{package}.{service}/{}", method.name()));
                }
            }
        }
        let rows: BTreeSet<String> = TABLE.iter().map(|row| row.method.to_owned()).collect();
        assert_eq!(rows, methods, "give a new method a row in `rpc::roles`");
        assert_eq!(TABLE.len(), rows.len(), "a method has two rows");
        for row in TABLE {
            assert!(
                rights_of(&format!("/{}", row.method)).is_some(),
                "{}",
                row.method
            );
        }
    }

    #[test]
    fn a_role_that_may_do_more_may_do_what_the_others_may() {
        let width = |reach: Option<Reach>| match reach {
            None => 0,
            Some(Reach::Own) => 1,
            Some(Reach::Any) => 2,
        };
        for row in TABLE {
            let of = |role| width(row.of(role));
            assert!(of(Role::Admin) >= of(Role::Instructor), "{}", row.method);
            assert!(of(Role::Instructor) >= of(Role::Student), "{}", row.method);
            assert!(of(Role::Instructor) >= of(Role::Grader), "{}", row.method);
        }
    }
}
