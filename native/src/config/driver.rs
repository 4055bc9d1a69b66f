//! Which side reads the connections of a target.

use std::collections::BTreeMap;

use crate::error::Error;

use super::settings::Settings;

/// The environment variable that stands for the option.
const VARIABLE: &str = "PG_BERTH_DRIVER";

/// Who reads a connection while statements are in flight on it. Idle connections are always the engine's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// The event loop of the thread that asks, unless it was late lately; then the engine.
    #[default]
    Auto,
    /// The event loop, late or not. For measurements.
    Loop,
    /// The engine's own thread: a hop between threads each way, and less work on the JS thread.
    Engine,
}

impl Settings {
    /// The option, else the environment, else [`Driver::Auto`].
    pub(super) fn driver(&self, environment: &BTreeMap<String, String>) -> Result<Driver, Error> {
        let given = self.driver.as_ref().map(|given| ("driver", given));
        let (name, given) = match given.or_else(|| Some((VARIABLE, environment.get(VARIABLE)?))) {
            Some((name, given)) if !given.is_empty() => (name, given),
            _ => return Ok(Driver::Auto),
        };
        match given.as_str() {
            "auto" => Ok(Driver::Auto),
            "loop" => Ok(Driver::Loop),
            "engine" => Ok(Driver::Engine),
            _ => Err(Error::config(
                name,
                "must be \"auto\", \"loop\" or \"engine\"",
            )),
        }
    }
}
