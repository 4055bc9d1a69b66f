//! Streams for the targets that read messages.

/// The stream as it is, or framed: (`u8` tag, `u8` n, n bytes of body)*, so that a mutation does not have to find
/// valid lengths first. `%N` in a body becomes `nonce`.
pub fn stream(framed: bool, bytes: &[u8], nonce: &[u8]) -> Vec<u8> {
    if !framed {
        return bytes.to_vec();
    }
    let mut out = Vec::new();
    let mut rest = bytes;
    while let [tag, count, after @ ..] = rest {
        let (body, next) = after.split_at(usize::from(*count).min(after.len()));
        let body = replace(body, nonce);
        out.push(*tag);
        out.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        out.extend(body);
        rest = next;
    }
    out
}

fn replace(body: &[u8], nonce: &[u8]) -> Vec<u8> {
    match body.windows(2).position(|pair| pair == b"%N") {
        Some(at) => [&body[..at], nonce, &body[at + 2..]].concat(),
        None => body.to_vec(),
    }
}
