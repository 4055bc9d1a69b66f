//! Any text as application_name: no panic; whatever verifies is what the signer would have written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pg_berth::config::Secret;
use pg_berth::lease::{LeaseSecret, LeaseSigner, MAX_NAME_BYTES, parse_and_verify};

fuzz_target!(|input: (&str, &str, u64, &str)| {
    let (service, instance, expiry, text) = input;
    let Ok(secret) = LeaseSecret::new(Secret::new("fuzz-secret-0123456789".into())) else {
        return;
    };
    let secrets = [secret.clone()];
    assert!(
        parse_and_verify(text, &secrets, expiry).is_none(),
        "a forged lease"
    );
    let signer = LeaseSigner::new(service, instance, secret);
    if let Ok(name) = signer.sign(expiry) {
        assert!(name.is_ascii() && name.len() <= MAX_NAME_BYTES);
        if let Some(lease) = parse_and_verify(&name, &secrets, expiry) {
            assert_eq!(
                (&*lease.service, &*lease.instance),
                (signer.service(), signer.instance())
            );
            assert_eq!((lease.expiry, lease.expired), (expiry, false));
        } else {
            assert!(expiry > 999_999_999_999_999);
        }
    }
});
