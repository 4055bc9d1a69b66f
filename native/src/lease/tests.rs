//! The shared vectors, rotation, and properties of tokens.

use serde::Deserialize;

use super::*;

const VECTORS: &str = include_str!("../../../test/vectors/lease.json");

#[derive(Deserialize)]
struct Vectors {
    generate: Vec<Generate>,
    parse: Vec<Parse>,
}

#[derive(Deserialize)]
struct Generate {
    id: String,
    service: String,
    instance: String,
    secret: Secret,
    expiry: u64,
    normalized_service: Option<String>,
    normalized_instance: Option<String>,
    application_name: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Parse {
    id: String,
    secret: Secret,
    now: u64,
    application_name: Option<String>,
    #[serde(default)]
    expect: Option<Verdict>,
    /// Where it is present this project is stricter: it is always `null`.
    #[serde(default, deserialize_with = "present")]
    strict_expect: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    svc: String,
    inst: String,
    exp: i64,
    is_expired: bool,
    is_valid_signature: bool,
}

fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    <()>::deserialize(from).map(|()| true)
}

fn vectors() -> Vectors {
    serde_json::from_str(VECTORS).unwrap()
}

fn secret(text: &str) -> LeaseSecret {
    LeaseSecret::new(Secret::new(text.into())).unwrap()
}

#[test]
fn sec_l03_every_generate_vector_comes_out_byte_for_byte() {
    let vectors = vectors().generate;
    assert_eq!(vectors.len(), 73);
    for vector in vectors {
        let id = &vector.id;
        let key = match (LeaseSecret::new(vector.secret), vector.error.as_deref()) {
            (Err(error), Some("secret-too-short")) => {
                assert!(error.to_string().contains("too short"), "{id}: {error}");
                continue;
            }
            (Err(error), Some("secret-missing")) => {
                assert!(
                    error.to_string().contains("requires a non-empty secret"),
                    "{id}: {error}"
                );
                continue;
            }
            (key, _) => key.unwrap(),
        };
        let signer = LeaseSigner::new(&vector.service, &vector.instance, key);
        assert_eq!(
            Some(signer.service()),
            vector.normalized_service.as_deref(),
            "{id}"
        );
        assert_eq!(
            Some(signer.instance()),
            vector.normalized_instance.as_deref(),
            "{id}"
        );
        match vector.error.as_deref() {
            None => assert_eq!(
                signer.sign(vector.expiry).unwrap(),
                vector.application_name.unwrap(),
                "{id}"
            ),
            Some(error) => {
                assert_eq!(error, "too-long", "{id}");
                assert!(
                    matches!(signer.sign(vector.expiry), Err(Error::Lease { .. })),
                    "{id}"
                );
            }
        }
    }
}

#[test]
fn sec_l03_every_parse_vector_has_its_strict_verdict() {
    let vectors = vectors().parse;
    assert_eq!(vectors.len(), 56);
    for vector in vectors {
        let key = LeaseSecret::new(vector.secret).unwrap();
        let text = vector.application_name.unwrap_or_default();
        let answer = parse_and_verify(&text, &[key], vector.now).map(|lease| Verdict {
            svc: lease.service.into(),
            inst: lease.instance.into(),
            exp: lease.expiry.try_into().unwrap(),
            is_expired: lease.expired,
            is_valid_signature: true,
        });
        let expected = if vector.strict_expect {
            None
        } else {
            vector.expect
        };
        assert_eq!(answer, expected, "{}", vector.id);
    }
}

#[test]
fn sec_l03_two_secrets_verify_during_rotation_and_a_third_does_not() {
    let (old, new, other) = (
        secret("old-secret-0123456789"),
        secret("new-secret-0123456789"),
        secret("other-secret-012345"),
    );
    let name = LeaseSigner::new("svc", "AbCd_-19", old.clone())
        .sign(5)
        .unwrap();
    assert!(parse_and_verify(&name, &[new.clone(), old], 5).is_some_and(|lease| !lease.expired));
    assert!(parse_and_verify(&name, &[new, other], 5).is_none());
    assert!(parse_and_verify(&name, &[], 5).is_none());
}

#[test]
fn sec_l03_any_changed_byte_is_refused() {
    let key = [secret("coord-secret-0123456789")];
    let name = LeaseSigner::new("svc", "AbCd_-19", key[0].clone())
        .sign(1_795_251_856_352)
        .unwrap();
    for index in 0..name.len() {
        for byte in 0..128_u8 {
            let mut bytes = name.clone().into_bytes();
            if std::mem::replace(&mut bytes[index], byte) != byte {
                let text = String::from_utf8(bytes).unwrap();
                assert_eq!(parse_and_verify(&text, &key, 0), None, "{text}");
            }
        }
    }
}

#[test]
fn a_signed_expiry_has_at_most_15_digits() {
    let key = [secret("coord-secret-0123456789")];
    let signer = LeaseSigner::new("svc", "AbCd_-19", key[0].clone());
    for (expiry, accepted) in [
        (999_999_999_999_999, true),
        (1_000_000_000_000_000, false),
        (u64::MAX, false),
    ] {
        let name = signer.sign(expiry).unwrap();
        assert_eq!(
            parse_and_verify(&name, &key, 0).is_some(),
            accepted,
            "{name}"
        );
    }
}

#[test]
fn sc23_secrets_with_few_distinct_bytes_are_weak() {
    for (text, weak) in [
        ("                ", true),
        ("abcdeabcdeabcdeabcde", true),
        ("abcdefabcdefabcdef", false),
        ("€€€€€€", true),
    ] {
        assert_eq!(secret(text).is_weak(), weak, "{text}");
    }
}

#[test]
fn sec_a06_no_debug_output_shows_the_secret() {
    let signer = LeaseSigner::new("svc", "AbCd_-19", secret("canary-canary-canary"));
    assert!(!format!("{signer:?}").contains("canary"));
}

#[test]
fn instance_ids_have_eight_characters_and_need_no_replacing() {
    let ids: std::collections::HashSet<String> =
        (0..200).map(|_| random_instance_id().unwrap()).collect();
    assert_eq!(ids.len(), 200);
    for id in ids {
        assert_eq!((id.len(), sanitise(&id)), (8, id.clone()));
    }
}
