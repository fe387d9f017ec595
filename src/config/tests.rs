use super::*;

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn file(text: &str) -> Option<ConfigFile<'_>> {
    Some(ConfigFile {
        name: "backpropd.toml",
        text,
    })
}

fn problems(result: Result<Effective, ConfigError>) -> Vec<(String, String)> {
    let error = result.expect_err("the configuration should be refused");
    error
        .violations
        .into_iter()
        .map(|violation| (violation.place, violation.problem))
        .collect()
}

#[test]
fn nothing_given_is_the_default() {
    let effective = merge([], [], None).expect("defaults are valid");
    assert_eq!(effective.config, Config::default());
    assert_eq!(effective.origin("listen"), Origin::Default);
}

#[test]
fn flags_beat_environment_beats_file_beats_default() {
    let effective = merge(
        pairs(&[("max-layers", "4")]),
        pairs(&[
            ("BACKPROPD_MAX_LAYERS", "3"),
            ("BACKPROPD_MAX_UNITS", "30"),
            ("HOME", "/root"),
        ]),
        file("max_layers = 2\nmax_units = 20\nmax_models = 1_000"),
    )
    .expect("valid");
    assert_eq!(effective.config.max_layers, 4);
    assert_eq!(effective.config.max_units, 30);
    assert_eq!(effective.config.max_models, 1000);
    assert_eq!(effective.config.max_sessions, 20_000);
    assert_eq!(
        effective.origin("max_layers"),
        Origin::Flag("--max-layers".to_owned())
    );
    assert_eq!(
        effective.origin("max_units"),
        Origin::Environment("BACKPROPD_MAX_UNITS".to_owned())
    );
    assert_eq!(
        effective.origin("max_models"),
        Origin::File("backpropd.toml".to_owned())
    );
}

#[test]
fn every_violation_of_every_layer_is_reported_at_once() {
    let problems = problems(merge(
        pairs(&[("log-format", "xml")]),
        pairs(&[
            ("BACKPROPD_QUANTUM_MS", "fast"),
            ("BACKPROPD_MAX_LAYER", "3"),
        ]),
        file("max_layers = 0\nmax_unit = 3\ninsecure_remote = \"yes\"\nlog = \"=,=\""),
    ));
    let places: Vec<_> = problems.iter().map(|(place, _)| place.as_str()).collect();
    assert_eq!(
        places,
        [
            "backpropd.toml, insecure_remote",
            "backpropd.toml, log",
            "backpropd.toml, max_layers",
            "backpropd.toml, max_unit",
            "BACKPROPD_MAX_LAYER",
            "BACKPROPD_QUANTUM_MS",
            "--log-format",
        ]
    );
    let of = |place: &str| {
        problems
            .iter()
            .find(|(at, _)| at == place)
            .map_or("", |(_, problem)| problem)
    };
    assert_eq!(
        of("backpropd.toml, max_layers"),
        "given 0, allowed is an integer from 1 to 10000"
    );
    assert!(of("backpropd.toml, max_unit").contains("did you mean max_units?"));
    assert!(of("BACKPROPD_MAX_LAYER").contains("did you mean BACKPROPD_MAX_LAYERS?"));
    assert_eq!(
        of("--log-format"),
        "given \"xml\", allowed is \"text\" or \"json\""
    );
    assert!(
        of("BACKPROPD_QUANTUM_MS")
            .starts_with("given \"fast\", allowed is an integer from 1 to 60000")
    );
}

#[test]
fn variables_that_kubernetes_makes_for_a_service_are_ignored() {
    let environment = pairs(&[
        ("BACKPROPD_SERVICE_HOST", "10.0.0.1"),
        ("BACKPROPD_SERVICE_PORT", "50051"),
        ("BACKPROPD_SERVICE_PORT_GRPC", "50051"),
        ("BACKPROPD_PORT", "tcp://10.0.0.1:50051"),
        ("BACKPROPD_PORT_50051_TCP_ADDR", "10.0.0.1"),
        ("BACKPROPD_CONFIG", "backpropd.toml"),
    ]);
    assert_eq!(
        merge([], environment, None).expect("valid").config,
        Config::default()
    );
}

#[test]
fn variables_of_the_commands_are_ignored_unless_they_look_like_a_setting() {
    let environment = pairs(&[
        ("BACKPROPD_BIN", "/opt/backpropd"),
        ("BACKPROPD_SERVER", "https://lab.uni.edu:50051"),
        ("BACKPROPD_TOKEN", "e30.e30.e30"),
        ("BACKPROPD_TOKEN_FILE", "token"),
        ("BACKPROPD_CA", "ca.pem"),
    ]);
    assert_eq!(
        merge([], environment, None).expect("valid").config,
        Config::default()
    );
    // The server would run without the secret that it seems to have.
    let secret = pairs(&[("BACKPROPD_GRADING_SECRET", "s")]);
    let problems = problems(merge([], secret, None));
    assert!(
        problems[0].1.contains("BACKPROPD_GRADING_SECRET_FILE"),
        "{problems:?}"
    );
}

#[test]
fn an_address_beyond_loopback_needs_identities_and_tls_and_names_what_is_missing() {
    const AUTH: (&str, &str) = ("auth-secret-file", "secrets");
    const TLS: [(&str, &str); 2] = [("tls-cert-file", "cert"), ("tls-key-file", "key")];
    let merged = |flags: &[(&str, &str)]| {
        let flags = [&[("listen", "0.0.0.0:1")], flags].concat();
        merge(pairs(&flags), [], None)
    };
    let missing = |flags: &[(&str, &str)]| {
        let problems = problems(merged(flags));
        assert_eq!(problems.len(), 1, "{problems:?}");
        let problem = problems[0].1.clone();
        assert!(problem.contains("0.0.0.0:1"), "{problem}");
        assert!(problem.contains("--insecure-remote"), "{problem}");
        let names = |name| problem.contains(name);
        (names("auth_secret_file"), names("tls_cert_file"))
    };
    assert_eq!(missing(&[]), (true, true));
    assert_eq!(missing(&[AUTH]), (false, true));
    assert_eq!(missing(&TLS), (true, false));
    assert_eq!(missing(&[("tls-terminated", "true")]), (true, false));

    for allowed in [
        vec![AUTH, TLS[0], TLS[1]],
        vec![AUTH, ("tls-terminated", "true")],
        vec![TLS[0], TLS[1], ("tls-client-ca-file", "ca")],
        vec![
            ("auth-jwks-file", "keys"),
            ("auth-audience", "us"),
            ("tls-terminated", "true"),
        ],
    ] {
        let effective = merged(&allowed).expect("valid");
        assert!(
            effective.config.lists_sessions(),
            "each sees what is theirs"
        );
    }
    let effective = merged(&[("insecure-remote", "true")]).expect("valid");
    assert!(!effective.config.lists_sessions());
    assert!(Config::default().lists_sessions());
    let mapped =
        merge(pairs(&[("listen", "[::ffff:127.0.0.1]:1")]), [], None).expect("still loopback");
    assert!(mapped.config.lists_sessions());
}

#[test]
fn a_setting_that_is_gone_says_what_takes_its_place() {
    for (place, merged) in [
        (
            "--allow-remote",
            merge(pairs(&[("allow-remote", "true")]), [], None),
        ),
        (
            "BACKPROPD_ALLOW_REMOTE",
            merge([], pairs(&[("BACKPROPD_ALLOW_REMOTE", "true")]), None),
        ),
        (
            "backpropd.toml, allow_remote",
            merge([], [], file("allow_remote = true")),
        ),
    ] {
        let problems = problems(merged);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].0, place);
        for setting in [
            "auth_secret_file",
            "tls_cert_file",
            "tls_terminated",
            "insecure_remote",
        ] {
            assert!(problems[0].1.contains(setting), "{problems:?}");
        }
    }
}

#[test]
fn settings_of_identities_that_mean_nothing_alone_are_refused() {
    for (flags, named) in [
        (&[("auth-jwks-file", "keys")][..], "auth_audience"),
        (&[("auth-audience", "us")], "auth_secret_file"),
        (&[("auth-revoked-file", "list")], "auth_secret_file"),
        (
            &[("auth-secret-file", "s"), ("auth-issuer", "i")],
            "auth_jwks_file",
        ),
        (&[("auth-role-claim", "")], "auth_role_claim"),
    ] {
        let problems = problems(merge(pairs(flags), [], None));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].1.contains(named), "{problems:?}");
    }
}

#[test]
fn localhost_is_the_ipv4_loopback_in_every_layer() {
    let loopback = "127.0.0.1:7".parse().expect("an address");
    let listen = [("listen", "localhost:7"), ("listen", " LOCALHOST:7 ")];
    for flags in listen {
        let effective = merge(pairs(&[flags]), [], None).expect("valid");
        assert_eq!(effective.config.listen, loopback);
        assert!(effective.config.lists_sessions());
    }
    let environment = pairs(&[("BACKPROPD_LISTEN", "localhost:7")]);
    let effective = merge([], environment, None).expect("valid");
    assert_eq!(effective.config.listen, loopback);
    let effective = merge([], [], file("listen = \"localhost:7\"")).expect("valid");
    assert_eq!(effective.config.listen, loopback);

    for wrong in [
        "localhost",
        "localhost:",
        "localhost:65536",
        "example.org:7",
        "7",
    ] {
        let problems = problems(merge(pairs(&[("listen", wrong)]), [], None));
        assert!(problems[0].1.contains("localhost:50051"), "{problems:?}");
    }
}

#[test]
fn port_changes_the_port_of_listen_and_nothing_else() {
    let environment = || pairs(&[("BACKPROPD_LISTEN", "[::1]:7")]);
    let effective = merge(pairs(&[("port", "8")]), environment(), None).expect("valid");
    assert_eq!(effective.config.listen.to_string(), "[::1]:8");
    assert_eq!(
        effective.origin("listen"),
        Origin::Flag("--port".to_owned())
    );
    assert_eq!(
        merge(pairs(&[("port", "0")]), [], None)
            .expect("valid")
            .config
            .listen
            .to_string(),
        "127.0.0.1:0"
    );

    let both = pairs(&[("port", "8"), ("listen", "127.0.0.1:9")]);
    let problems_of_both = problems(merge(both, [], None));
    assert_eq!(problems_of_both[0].0, "--port");
    assert!(
        problems_of_both[0].1.contains("--listen"),
        "{problems_of_both:?}"
    );
    let too_large = problems(merge(pairs(&[("port", "65536")]), [], None));
    assert!(too_large[0].1.contains("0 to 65535"), "{too_large:?}");
}

#[test]
fn printed_configuration_reads_back_as_itself() {
    let given = pairs(&[
        ("log", "warn,backpropd=debug"),
        ("listen", "[::]:0"),
        ("insecure-remote", "true"),
        ("log-format", "json"),
        ("inline-flops", "0"),
    ]);
    for list_sessions in [None, Some("true"), Some("false")] {
        let mut flags = given.clone();
        flags.extend(list_sessions.map(|value| ("list-sessions".to_owned(), value.to_owned())));
        let effective = merge(flags, [], None).expect("valid");
        let text = effective.to_toml();
        let again = merge([], [], file(&text)).expect("what is printed is valid");
        assert_eq!(again.config, effective.config, "{text}");
        assert!(text.contains("(from the flag --listen)"), "{text}");
        assert!(text.contains("(default)"), "{text}");
    }
}

#[test]
fn a_file_that_is_no_toml_says_where() {
    let problems = problems(merge([], [], file("listen = \n")));
    assert!(problems[0].1.contains("line 1"), "{problems:?}");
}

#[test]
fn every_default_is_within_its_own_range_and_every_setting_is_described() {
    let text = merge([], [], None).expect("valid").to_toml();
    merge([], [], file(&text)).expect("defaults are allowed values");
    for setting in SETTINGS {
        assert!(setting.description.ends_with('.'), "{}", setting.name);
    }
    assert_eq!(Config::default().entries().len(), SETTINGS.len());
    assert_eq!(Config::default().entries()[0].1, "\"127.0.0.1:50051\"");
}

#[test]
fn defaults_follow_the_memory_of_the_process_and_given_settings_do_not() {
    let given = pairs(&[("BACKPROPD_MAX_TOTAL_PARAMETER_BYTES", "1073741824")]);
    let memory = Some(2 << 30);
    let effective = merge_within([], given, None, memory).expect("valid");
    let text = effective.to_toml();
    assert!(
        text.contains(
            "(from the cgroup's memory limit of 2147483648 bytes)\nmax_in_flight_bytes = "
        ),
        "{text}"
    );
    assert!(
        text.contains("MAX_TOTAL_PARAMETER_BYTES)\nmax_total_parameter_bytes = 1073741824"),
        "{text}"
    );
    let config = &effective.config;
    assert!(config.of_cgroup.contains(&"max_in_flight_bytes"));
    assert!(!config.of_cgroup.contains(&"max_total_parameter_bytes"));
    assert!(config.max_total_parameter_bytes + config.max_in_flight_bytes < 2 << 30);
    let unlimited = merge([], [], None).expect("valid");
    assert_eq!(unlimited.origin("max_in_flight_bytes"), Origin::Default);
}
