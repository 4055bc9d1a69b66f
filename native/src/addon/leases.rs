//! Exports that sign and verify leases; secrets come in and never go out.

use neon::prelude::*;

use crate::addon::arguments::text;
use crate::addon::settle::throw;
use crate::config::Secret;
use crate::error::Error;
use crate::json::members;
use crate::lease::{LeaseSecret, LeaseSigner, parse_and_verify, random_instance_id};

/// A moment in Unix milliseconds, as an exact whole number.
fn moment(cx: &mut FunctionContext, place: usize) -> NeonResult<u64> {
    let number = cx.argument::<JsNumber>(place)?.value(cx);
    match format!("{number}").parse() {
        Ok(moment) => Ok(moment),
        Err(_) => cx.throw_range_error(format!(
            "argument {} must be a whole number of milliseconds",
            place + 1
        )),
    }
}

/// `leaseInstance() → string`: eight random characters.
pub(super) fn instance(mut cx: FunctionContext) -> JsResult<JsString> {
    match random_instance_id() {
        Ok(id) => Ok(cx.string(id)),
        Err(error) => throw(&mut cx, &error),
    }
}

fn signer(cx: &mut FunctionContext) -> NeonResult<Result<LeaseSigner, Error>> {
    let (service, instance, secret) = (text(cx, 0)?, text(cx, 1)?, text(cx, 2)?);
    Ok(LeaseSecret::new(Secret::new(secret))
        .map(|secret| LeaseSigner::new(&service, &instance, secret)))
}

/// `leaseSign(service, instance, secret, expiry in ms) → application_name`.
pub(super) fn sign(mut cx: FunctionContext) -> JsResult<JsString> {
    let signer = signer(&mut cx)?;
    let expiry = moment(&mut cx, 3)?;
    match signer.and_then(|signer| signer.sign(expiry)) {
        Ok(name) => Ok(cx.string(name)),
        Err(error) => throw(&mut cx, &error),
    }
}

/// `leaseToken(service, instance, secret) → JSON {service, instance, weak}`: what leases of this service carry.
pub(super) fn token(mut cx: FunctionContext) -> JsResult<JsString> {
    let secret = text(&mut cx, 2)?;
    let weak = LeaseSecret::new(Secret::new(secret)).map(|secret| secret.is_weak());
    match signer(&mut cx)?.and_then(|signer| Ok((signer, weak?))) {
        Ok((signer, weak)) => {
            let text = members(&[
                ("service", &signer.service()),
                ("instance", &signer.instance()),
                ("weak", &weak),
            ]);
            Ok(cx.string(text.into_string()))
        }
        Err(error) => throw(&mut cx, &error),
    }
}

/// `leaseVerify(application_name, secret, now in ms) → JSON {svc, inst, exp, isExpired}`, or `null` when it is no lease
/// of this secret.
pub(super) fn verify(mut cx: FunctionContext) -> JsResult<JsValue> {
    let (name, secret) = (text(&mut cx, 0)?, text(&mut cx, 1)?);
    let now = moment(&mut cx, 2)?;
    let secret = match LeaseSecret::new(Secret::new(secret)) {
        Ok(secret) => secret,
        Err(error) => return throw(&mut cx, &error),
    };
    Ok(match parse_and_verify(&name, &[secret], now) {
        None => cx.null().upcast(),
        Some(lease) => {
            let text = members(&[
                ("svc", &lease.service),
                ("inst", &lease.instance),
                ("exp", &lease.expiry),
                ("isExpired", &lease.expired),
            ]);
            cx.string(text.into_string()).upcast()
        }
    })
}
