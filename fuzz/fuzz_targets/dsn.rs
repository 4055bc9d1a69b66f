//! Any text as connection string: no panic, and no piece of a long value in an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pg_berth::config::{Settings, Surroundings, parse_connection_string};

fuzz_target!(|text: &str| {
    // The parser first: the settings refuse much that it must survive.
    if let Err(error) = parse_connection_string(text) {
        let message = error.to_string();
        assert!(message.len() < 300, "a message must not carry its input");
        return;
    }
    let options =
        serde_json::json!({ "connectionString": text, "passfile": "", "sslmode": "disable" });
    if let Ok(settings) = Settings::from_json(&options.to_string()) {
        let surroundings = Surroundings {
            os_user: Some("fuzz".into()),
            ..Surroundings::default()
        };
        if let Ok(built) = settings.build(&surroundings) {
            assert!(!built.config.hosts.is_empty());
            for (name, value) in built.config.startup_parameters() {
                assert!(!name.contains('\0') && !value.contains('\0'));
            }
        }
    }
});
