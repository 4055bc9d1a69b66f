//! How much of a connection's results JS has not taken yet, which is what holds the server back.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of one connection that JS has not taken yet. Over the high-water mark the connection stops reading, so that
/// TCP holds the server back.
#[derive(Debug, Default)]
pub struct Account {
    bytes: AtomicUsize,
    waker: std::sync::Mutex<Option<std::task::Waker>>,
}

/// Undelivered bytes at which a connection stops reading.
const HIGH_WATER: usize = 1024 * 1024;

impl Account {
    /// Counts bytes on their way to JS.
    pub fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    /// JS has taken bytes: reading goes on under half of the mark.
    pub fn taken(&self, bytes: usize) {
        let before = self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        if before.saturating_sub(bytes) < HIGH_WATER / 2 {
            let waker = self
                .waker
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Must reading stop? Then the waker is called when it may go on.
    pub(crate) fn is_full(&self, waker: &std::task::Waker) -> bool {
        if self.bytes.load(Ordering::Acquire) < HIGH_WATER {
            return false;
        }
        *self
            .waker
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(waker.clone());
        // Taken between the two looks: go on at once instead of waiting for a wake that has passed.
        self.bytes.load(Ordering::Acquire) >= HIGH_WATER / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_holds_back_over_the_mark_and_lets_go_under_half_of_it() {
        let account = Account::default();
        let waker = std::task::Waker::noop();
        assert!(!account.is_full(waker));
        account.add(HIGH_WATER);
        assert!(account.is_full(waker));
        account.taken(HIGH_WATER / 4);
        assert!(account.waker.lock().unwrap().is_some());
        account.taken(HIGH_WATER / 2);
        assert!(account.waker.lock().unwrap().is_none());
        assert!(!account.is_full(waker));
    }
}
