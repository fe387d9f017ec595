//! Tokens that verify, and every kind that must not.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that meets the unexpected is to fail"
)]

use backpropd_identity::{
    Claims, FaultyKey, FaultyLine, JwksError, LARGEST_TOKEN, PublicKeys, Rejection, Role, Rules,
    Secrets, SecretsError, Verified, Verifier,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use ring::{hmac, rand};
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const OTHER: &[u8] = b"fedcba9876543210fedcba9876543210";
/// For tests alone: it signs what a test calls an identity provider.
const RSA: &[u8] = include_bytes!("keys/rsa2048.pkcs8.der");

fn secrets(content: &[u8]) -> Secrets {
    Secrets::read(content).unwrap()
}

fn verifier() -> Verifier {
    Verifier {
        secrets: Some(secrets(SECRET)),
        ..Verifier::default()
    }
}

fn claims() -> Claims {
    Claims {
        sub: "alice".into(),
        role: Role::Student,
        exp: NOW + 60,
        jti: Some("t-1".to_owned()),
        nbf: None,
        iat: Some(NOW),
        aud: Vec::new(),
        iss: None,
    }
}

fn body() -> Value {
    json!({"sub": "alice", "role": "student", "exp": NOW + 60})
}

fn with(key: &str, value: Value) -> Value {
    let mut body = body();
    body[key] = value;
    body
}

fn without(key: &str) -> Value {
    let mut body = body();
    body.as_object_mut().unwrap().remove(key);
    body
}

/// A token of these parts, signed by `sign`.
fn token(header: &str, body: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(body));
    let signature = BASE64.encode(sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn hs256(secret: &[u8]) -> impl Fn(&[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    move |signed| hmac::sign(&key, signed).as_ref().to_vec()
}

fn by_secret(body: &Value) -> String {
    token(r#"{"alg":"HS256"}"#, &body.to_string(), hs256(SECRET))
}

fn rejected(verifier: &Verifier, token: &str) -> Rejection {
    verifier.verify(token, NOW).expect_err("it must not verify")
}

/// An identity provider with a key of each kind.
struct Provider {
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

impl Provider {
    fn new() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let p256 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let ed25519 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        Self {
            rsa: RsaKeyPair::from_pkcs8(RSA).unwrap(),
            p256: EcdsaKeyPair::from_pkcs8(algorithm, p256.as_ref(), &random).unwrap(),
            ed25519: Ed25519KeyPair::from_pkcs8(ed25519.as_ref()).unwrap(),
        }
    }

    fn modulus(&self) -> Vec<u8> {
        let public: ring::rsa::PublicKeyComponents<Vec<u8>> = self.rsa.public().into();
        public.n
    }

    fn jwks(&self) -> Value {
        let point = self.p256.public_key().as_ref();
        json!({"keys": [
            {"kty": "RSA", "kid": "r", "use": "sig", "alg": "RS256", "e": "AQAB", "n": BASE64.encode(self.modulus())},
            {"kty": "EC", "kid": "e", "crv": "P-256", "x": BASE64.encode(&point[1..33]), "y": BASE64.encode(&point[33..])},
            {"kty": "OKP", "kid": "o", "crv": "Ed25519", "x": BASE64.encode(self.ed25519.public_key())},
            {"kty": "RSA", "kid": "encryption", "use": "enc", "e": "AQAB", "n": "AA"},
            {"kty": "EC", "kid": "another-curve", "crv": "P-521", "x": "AA", "y": "AA"},
        ]})
    }

    fn verifier(&self) -> Verifier {
        Verifier {
            keys: Some(PublicKeys::read(self.jwks().to_string().as_bytes()).unwrap()),
            rules: Rules {
                audience: Some("backpropd".to_owned()),
                issuer: Some("https://login.uni.edu".to_owned()),
                role_claim: "realm_access.roles".to_owned(),
            },
            ..Verifier::default()
        }
    }

    fn sign(&self, algorithm: &str, signed: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match algorithm {
            "RS256" => {
                let mut signature = vec![0; self.rsa.public().modulus_len()];
                self.rsa
                    .sign(&RSA_PKCS1_SHA256, &random, signed, &mut signature)
                    .unwrap();
                signature
            }
            "ES256" => self.p256.sign(&random, signed).unwrap().as_ref().to_vec(),
            _ => self.ed25519.sign(signed).as_ref().to_vec(),
        }
    }

    fn token(&self, algorithm: &str, kid: Option<&str>, body: &Value) -> String {
        let mut header = json!({"alg": algorithm, "typ": "JWT"});
        if let Some(kid) = kid {
            header["kid"] = json!(kid);
        }
        let sign = |signed: &[u8]| self.sign(algorithm, signed);
        token(&header.to_string(), &body.to_string(), sign)
    }
}

/// What an identity provider says of a student.
fn foreign() -> Value {
    json!({
        "sub": "alice", "exp": NOW + 60, "iss": "https://login.uni.edu", "aud": ["account", "backpropd"],
        "realm_access": {"roles": ["offline_access", "student"]},
    })
}

#[test]
fn what_is_minted_verifies_and_says_the_same() {
    let token = secrets(SECRET).mint(&claims()).unwrap();
    let Verified {
        identity,
        claims: read,
    } = verifier().verify(&token, NOW).unwrap();
    assert_eq!(read, claims());
    assert_eq!(
        (&*identity.subject, identity.role),
        ("alice", Role::Student)
    );
}

#[test]
fn every_secret_verifies_and_the_first_one_signs() {
    let both = [OTHER, b"\n\n", SECRET, b"\r\n"].concat();
    let both = Verifier {
        secrets: Some(secrets(&both)),
        ..Verifier::default()
    };
    let old = secrets(SECRET).mint(&claims()).unwrap();
    assert!(both.verify(&old, NOW).is_ok());
    let new = both.secrets.as_ref().unwrap().mint(&claims()).unwrap();
    assert_eq!(rejected(&verifier(), &new), Rejection::Signature);
    assert!(both.verify(&new, NOW).is_ok());
}

#[test]
fn a_file_of_secrets_says_what_is_wrong_with_it() {
    let read = |content: &[u8]| Secrets::read(content).map(|_| ()).unwrap_err();
    assert_eq!(read(b""), SecretsError::None);
    assert_eq!(read(b" \n\r\n"), SecretsError::None);
    let faulty = [
        SECRET,
        b"\n\n",
        &SECRET[1..],
        b"\n",
        SECRET,
        b"\n# the old one\nshort",
    ];
    let faults = [
        FaultyLine::TooShort { line: 3, bytes: 31 },
        FaultyLine::Twice { line: 4, first: 1 },
        FaultyLine::TooShort { line: 6, bytes: 5 },
    ];
    assert_eq!(read(&faulty.concat()), SecretsError::Lines(faults.to_vec()));
    let commented = [b"# the only secret\n#", SECRET].concat();
    assert_eq!(read(&commented), SecretsError::None);
    for wide in [b"\xff\xfe0\0", b"\xfe\xff\x000"] {
        assert_eq!(read(wide), SecretsError::Utf16);
    }
    let many: Vec<u8> = (0..17)
        .flat_map(|n| format!("{n:032}\n").into_bytes())
        .collect();
    assert_eq!(read(&many), SecretsError::TooMany(17));
}

#[test]
fn a_byte_order_mark_and_comments_are_no_part_of_a_secret() {
    let dressed = [
        b"\xef\xbb\xbf",
        SECRET,
        b"\r\n#",
        OTHER,
        b"\r\n# the end\r\n",
    ]
    .concat();
    let (dressed, plain, other) = (secrets(&dressed), secrets(SECRET), secrets(OTHER));
    assert_eq!(
        dressed.mint(&claims()).unwrap(),
        plain.mint(&claims()).unwrap()
    );
    let verifier = Verifier {
        secrets: Some(dressed),
        ..Verifier::default()
    };
    assert!(
        verifier
            .verify(&plain.mint(&claims()).unwrap(), NOW)
            .is_ok()
    );
    let replaced = other.mint(&claims()).unwrap();
    assert_eq!(rejected(&verifier, &replaced), Rejection::Signature);
}

#[test]
fn a_token_is_void_from_its_exp_on_and_before_its_nbf() {
    let token = by_secret(&with("nbf", json!(NOW)));
    let at = |now| verifier().verify(&token, now).err();
    assert_eq!(at(NOW), None);
    assert_eq!(at(NOW + 59), None);
    assert_eq!(at(NOW + 60), Some(Rejection::Expired));
    // The clock of the machine that signed it may be ahead.
    assert_eq!(at(NOW - 30), None);
    assert_eq!(at(NOW - 31), Some(Rejection::NotYetValid));
    let fraction = by_secret(&with("exp", json!(NOW as f64 + 0.5)));
    assert_eq!(rejected(&verifier(), &fraction), Rejection::Expired);
}

#[test]
fn claims_that_are_missing_or_of_another_type_are_named() {
    for (claim, values) in [
        (
            "sub",
            vec![
                json!(null),
                json!(7),
                json!(""),
                json!(" a"),
                json!("a\nb"),
                json!("a".repeat(257)),
            ],
        ),
        (
            "exp",
            vec![
                json!(null),
                json!("1900000000"),
                json!(-1),
                json!(1e300),
                json!([NOW]),
            ],
        ),
        ("nbf", vec![json!("0"), json!(null), json!(-5)]),
        ("jti", vec![json!(7), json!(""), json!("a\u{0}")]),
        ("aud", vec![json!(7), json!(null), json!(["a", 7])]),
        ("iss", vec![json!(7)]),
        ("role", vec![json!(7), json!(null), json!({})]),
    ] {
        for value in values {
            let rejection = rejected(&verifier(), &by_secret(&with(claim, value.clone())));
            assert_eq!(rejection, Rejection::Claim(claim), "{claim}: {value}");
        }
    }
    for claim in ["sub", "exp", "role"] {
        assert_eq!(
            rejected(&verifier(), &by_secret(&without(claim))),
            Rejection::Claim(claim)
        );
    }
    for role in ["root", "Student", "", "student "] {
        assert_eq!(
            rejected(&verifier(), &by_secret(&with("role", json!(role)))),
            Rejection::Role
        );
    }
}

#[test]
fn a_claim_that_appears_twice_is_no_claim() {
    let body = format!(
        r#"{{"sub":"alice","role":"student","exp":{},"role":"admin"}}"#,
        NOW + 60
    );
    let twice = token(r#"{"alg":"HS256"}"#, &body, hs256(SECRET));
    assert_eq!(rejected(&verifier(), &twice), Rejection::Malformed);
    let sound = body_text();
    let header = r#"{"alg":"none","alg":"HS256"}"#;
    let twice = token(header, &sound, hs256(SECRET));
    assert_eq!(rejected(&verifier(), &twice), Rejection::Malformed);
}

fn body_text() -> String {
    body().to_string()
}

#[test]
fn a_header_decides_nothing() {
    let text = body_text();
    let unsigned = |_: &[u8]| Vec::new();
    for alg in [
        "none", "None", "NONE", "nOnE", "HS384", "HS512", "PS256", "RS512", "ES384", "hs256", "",
    ] {
        let header = json!({"alg": alg}).to_string();
        assert_eq!(
            rejected(&verifier(), &token(&header, &text, unsigned)),
            Rejection::Header,
            "{alg}"
        );
        assert_eq!(
            rejected(&verifier(), &token(&header, &text, hs256(SECRET))),
            Rejection::Header,
            "{alg}"
        );
    }
    for header in [
        r#"{}"#,
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","kid":7}"#,
        r#"{"alg":"HS256","typ":"dpop+jwt"}"#,
        r#"{"alg":"HS256","typ":7}"#,
    ] {
        assert_eq!(
            rejected(&verifier(), &token(header, &text, hs256(SECRET))),
            Rejection::Header,
            "{header}"
        );
    }
    // A key in the header is not taken for one of the server's.
    let header = json!({"alg": "HS256", "jwk": {"kty": "oct", "k": BASE64.encode(OTHER)}, "jku": "http://127.0.0.1/"});
    let own_key = token(&header.to_string(), &text, hs256(OTHER));
    assert_eq!(rejected(&verifier(), &own_key), Rejection::Signature);
    let named = token(
        r#"{"alg":"HS256","kid":"../../dev/null"}"#,
        &text,
        hs256(SECRET),
    );
    assert_eq!(rejected(&verifier(), &named), Rejection::Signature);
    for typ in ["JWT", "jwt", "at+jwt"] {
        let header = json!({"alg": "HS256", "typ": typ}).to_string();
        assert!(
            verifier()
                .verify(&token(&header, &text, hs256(SECRET)), NOW)
                .is_ok()
        );
    }
}

#[test]
fn a_wrong_key_a_stripped_and_a_changed_signature_are_refused() {
    let sound = by_secret(&body());
    let (signed, signature) = sound.rsplit_once('.').unwrap();
    let wrong = token(r#"{"alg":"HS256"}"#, &body_text(), hs256(OTHER));
    assert_eq!(rejected(&verifier(), &wrong), Rejection::Signature);
    assert_eq!(
        rejected(&verifier(), &format!("{signed}.")),
        Rejection::Signature
    );
    assert_eq!(rejected(&verifier(), signed), Rejection::Malformed);
    let short = BASE64.decode(signature).unwrap();
    let short = BASE64.encode(&short[..31]);
    assert_eq!(
        rejected(&verifier(), &format!("{signed}.{short}")),
        Rejection::Signature
    );
    let admin = BASE64.encode(with("role", json!("admin")).to_string());
    let header = signed.split_once('.').unwrap().0;
    assert_eq!(
        rejected(&verifier(), &format!("{header}.{admin}.{signature}")),
        Rejection::Signature
    );
    assert_eq!(
        rejected(&Verifier::default(), &sound),
        Rejection::Signature,
        "no keys at all"
    );
}

#[test]
fn garbage_is_refused_for_its_form() {
    let sound = by_secret(&body());
    for garbage in [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "€.€.€",
        &format!("{sound}."),
        &format!("{sound}=="),
        &format!(".{sound}"),
        "e30.e30.e30.e30.e30",
    ] {
        assert_eq!(
            rejected(&verifier(), garbage),
            Rejection::Malformed,
            "{garbage}"
        );
    }
    assert_eq!(rejected(&verifier(), "e30.e30.e30"), Rejection::Header);
    let deep = "[".repeat(6_000 / 2);
    let deep = token(r#"{"alg":"HS256"}"#, &deep, hs256(SECRET));
    assert_eq!(rejected(&verifier(), &deep), Rejection::Malformed);
    assert_eq!(
        rejected(&verifier(), &"a".repeat(LARGEST_TOKEN + 1)),
        Rejection::TooLarge
    );
}

#[test]
fn an_audience_is_needed_where_the_server_has_one_and_refused_where_it_has_none() {
    let mut strict = verifier();
    strict.rules.audience = Some("backpropd".to_owned());
    assert_eq!(rejected(&strict, &by_secret(&body())), Rejection::Audience);
    assert_eq!(
        rejected(&strict, &by_secret(&with("aud", json!("grades")))),
        Rejection::Audience
    );
    assert_eq!(
        rejected(&strict, &by_secret(&with("aud", json!([])))),
        Rejection::Audience
    );
    for aud in [json!("backpropd"), json!(["grades", "backpropd"])] {
        let named = by_secret(&with("aud", aud));
        assert!(strict.verify(&named, NOW).is_ok());
        assert_eq!(rejected(&verifier(), &named), Rejection::Audience);
    }
}

#[test]
fn each_kind_of_public_key_verifies_its_own_algorithm() {
    let provider = Provider::new();
    let verifier = provider.verifier();
    for (algorithm, kid) in [("RS256", "r"), ("ES256", "e"), ("EdDSA", "o")] {
        for kid in [Some(kid), None] {
            let token = provider.token(algorithm, kid, &foreign());
            let verified = verifier.verify(&token, NOW).unwrap();
            assert_eq!(verified.identity.role, Role::Student, "{algorithm}");
        }
        for kid in ["r", "e", "o", "unknown", "encryption", ""] {
            let token = provider.token(algorithm, Some(kid), &foreign());
            let verifies = verifier.verify(&token, NOW).is_ok();
            let is_own = matches!(
                (algorithm, kid),
                ("RS256", "r") | ("ES256", "e") | ("EdDSA", "o")
            );
            assert_eq!(verifies, is_own, "{algorithm} {kid}");
        }
        // Signed by a key of another kind than its header says.
        for other in ["RS256", "ES256", "EdDSA"] {
            let header = json!({"alg": algorithm}).to_string();
            let sign = |signed: &[u8]| provider.sign(other, signed);
            let token = token(&header, &foreign().to_string(), sign);
            assert_eq!(verifier.verify(&token, NOW).is_ok(), other == algorithm);
        }
    }
    let stranger = Provider::new().token("EdDSA", Some("o"), &foreign());
    assert_eq!(rejected(&verifier, &stranger), Rejection::Signature);
}

#[test]
fn a_public_key_is_no_secret() {
    let provider = Provider::new();
    let mut verifier = provider.verifier();
    let jwks = provider.jwks().to_string();
    let body = foreign().to_string();
    for as_secret in [
        provider.modulus(),
        jwks.into_bytes(),
        BASE64.encode(provider.modulus()).into_bytes(),
    ] {
        for header in [r#"{"alg":"HS256"}"#, r#"{"alg":"HS256","kid":"r"}"#] {
            let confused = token(header, &body, hs256(&as_secret));
            assert_eq!(rejected(&verifier, &confused), Rejection::Signature);
            verifier.secrets = Some(secrets(SECRET));
            assert_eq!(rejected(&verifier, &confused), Rejection::Signature);
        }
    }
}

#[test]
fn the_token_of_a_provider_names_audience_issuer_and_a_role_of_ours() {
    let provider = Provider::new();
    let verifier = provider.verifier();
    let sent = |change: &dyn Fn(&mut Value)| {
        let mut body = foreign();
        change(&mut body);
        verifier.verify(&provider.token("EdDSA", None, &body), NOW)
    };
    assert_eq!(
        sent(&|body| body["aud"] = json!("account")),
        Err(Rejection::Audience)
    );
    assert_eq!(
        sent(&|body| body["iss"] = json!("https://login.uni.edu/")),
        Err(Rejection::Issuer)
    );
    assert_eq!(
        sent(&|body| body["iss"] = json!(null)),
        Err(Rejection::Claim("iss"))
    );
    assert_eq!(
        sent(&|body| body["realm_access"] = json!({"roles": ["root"]})),
        Err(Rejection::Role)
    );
    assert_eq!(
        sent(&|body| body["realm_access"] = json!(null)),
        Err(Rejection::Claim("role"))
    );
    // `role` is the claim of our own tokens alone.
    assert_eq!(
        sent(
            &|body| *body = json!({"sub": "alice", "exp": NOW + 60, "aud": "backpropd", "role": "admin", "iss": "https://login.uni.edu"})
        ),
        Err(Rejection::Claim("role"))
    );
    let several =
        sent(&|body| body["realm_access"]["roles"] = json!(["student", "instructor", "x"]));
    assert_eq!(several.unwrap().identity.role, Role::Instructor);
    let mut flat = provider.verifier();
    flat.rules.role_claim = "https://uni.edu/roles".to_owned();
    let mut body = foreign();
    body["https://uni.edu/roles"] = json!("grader");
    let verified = flat
        .verify(&provider.token("RS256", Some("r"), &body), NOW)
        .unwrap();
    assert_eq!(verified.identity.role, Role::Grader);
}

#[test]
fn a_key_file_that_would_be_unsafe_is_refused() {
    let read = |jwks: Value| PublicKeys::read(jwks.to_string().as_bytes()).map(|_| ());
    assert_eq!(read(json!({"keys": []})), Err(JwksError::None));
    assert_eq!(
        read(json!({"keys": [{"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}]})),
        Err(JwksError::None)
    );
    assert!(matches!(PublicKeys::read(b"[]"), Err(JwksError::Json(_))));
    assert!(matches!(PublicKeys::read(b"\xff"), Err(JwksError::Json(_))));
    let many: Vec<Value> = (0..65).map(|_| json!({"kty": "RSA"})).collect();
    assert_eq!(read(json!({"keys": many})), Err(JwksError::TooMany(65)));
    // A key for another algorithm is not used for ours.
    let mut jwks = Provider::new().jwks();
    jwks["keys"] = json!([jwks["keys"][0]]);
    jwks["keys"][0]["alg"] = json!("PS256");
    assert_eq!(read(jwks), Err(JwksError::None));
}

/// The faulty keys of a file, each in the place of a sound one.
fn faulty(keys: &[(usize, Value)]) -> Vec<FaultyKey> {
    let mut jwks = Provider::new().jwks();
    for (at, key) in keys {
        for (name, value) in key.as_object().unwrap() {
            jwks["keys"][*at][name] = value.clone();
        }
    }
    match PublicKeys::read(jwks.to_string().as_bytes()) {
        Ok(_) => Vec::new(),
        Err(JwksError::Keys(faulty)) => faulty,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn one_key_that_is_secret_or_unusable_refuses_the_file() {
    let even = {
        let mut n = Provider::new().modulus();
        n[255] &= 0xfe;
        BASE64.encode(n)
    };
    for (at, changed, fault) in [
        (0, json!({"kty": "oct", "k": "AA"}), "auth_secret_file"),
        (2, json!({"d": "AA"}), "private"),
        (0, json!({"n": "AA=="}), "n is not base64url"),
        (0, json!({"n": BASE64.encode([0xff; 128])}), "2048"),
        (0, json!({"n": even}), "n is even"),
        (0, json!({"e": "AQ"}), "odd number from 3"),
        (0, json!({"e": "AA"}), "odd number from 3"),
        (0, json!({"e": "AQAA"}), "odd number from 3"),
        (0, json!({"e": "AwAAAAE"}), "odd number from 3"),
        (0, json!({"e": null}), "e is not base64url"),
        (1, json!({"x": "AA"}), "x is not 32 bytes"),
        (
            1,
            json!({"y": BASE64.encode([1; 32])}),
            "no point of the curve P-256",
        ),
        (1, json!({"y": null}), "y is not 32 bytes"),
        (2, json!({"x": "AA=="}), "x is not 32 bytes"),
        (2, json!({"x": BASE64.encode([0; 32])}), "small order"),
    ] {
        let faulty = faulty(&[(at, changed.clone())]);
        assert_eq!(faulty.len(), 1, "{changed}");
        assert_eq!(faulty[0].number, at + 1, "{changed}");
        assert!(faulty[0].to_string().contains(fault), "{}", faulty[0]);
    }
}

#[test]
fn every_faulty_key_of_a_file_is_named_with_all_of_its_faults() {
    let faulty = faulty(&[
        (0, json!({"n": "AA", "e": "AQ"})),
        (2, json!({"x": "AA", "kid": "o\u{202e}"})),
    ]);
    let text = JwksError::Keys(faulty).to_string();
    assert_eq!(
        text,
        "key 1 (kid \"r\"): RSA keys of 2048 to 8192 bits are allowed, e has to be an odd number from 3 to 2^33 - 1, and is \
         mostly 65537; key 3 (kid \"o\\u{202e}\"): x is not 32 bytes in base64url"
    );
}

/// A token that verifies, with a part of it changed.
fn changed() -> impl Strategy<Value = String> {
    let sound = by_secret(&body());
    (0..sound.len(), any::<u8>()).prop_map(move |(at, byte)| {
        let mut bytes = sound.clone().into_bytes();
        bytes[at] = byte;
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

proptest! {
    #[test]
    fn no_text_verifies_and_none_panics(text in "\\PC{0,200}") {
        prop_assert!(verifier().verify(&text, NOW).is_err());
    }

    #[test]
    fn no_header_and_claims_verify_without_the_secret(
        header in "\\PC{0,60}", body in "\\PC{0,60}", signature in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let forged = token(&header, &body, |_| signature.clone());
        prop_assert!(verifier().verify(&forged, NOW).is_err());
    }

    #[test]
    fn a_changed_byte_is_noticed(token in changed()) {
        let sound = by_secret(&body());
        prop_assert_eq!(verifier().verify(&token, NOW).is_ok(), token == sound);
    }

    #[test]
    fn whatever_is_signed_is_a_verdict(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let signed = format!("{}.{}", BASE64.encode(r#"{"alg":"HS256"}"#), BASE64.encode(&body));
        let signature = BASE64.encode(hs256(SECRET)(signed.as_bytes()));
        let token = format!("{signed}.{signature}");
        prop_assert!(verifier().verify(&token, NOW).is_err());
    }

    #[test]
    fn no_bytes_of_a_key_file_panic(content in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = PublicKeys::read(&content);
        let _ = Secrets::read(&content);
        let _ = backpropd_identity::Revoked::read(&content);
    }
}

#[test]
fn a_random_secret_is_long_enough() {
    let bytes: [u8; 32] = rand::generate(&SystemRandom::new()).unwrap().expose();
    assert!(Secrets::read(BASE64.encode(bytes).as_bytes()).is_ok());
}
