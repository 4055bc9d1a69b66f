//! Answers to the engine itself: rows as text.

use tokio::sync::oneshot;

use crate::error::Error;
use crate::wire::Row;

/// Rows as text, for statements of the engine itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LocalResult {
    /// Cells by row and column, in the format that was asked for, as UTF-8.
    pub rows: Vec<Vec<Option<Box<str>>>>,
    /// The last command tag.
    pub tag: Box<str>,
}

impl LocalResult {
    /// Takes one `DataRow` body; cells that are not UTF-8 are a protocol error, because the engine only asks for text.
    pub(super) fn push(&mut self, body: &[u8]) -> Result<(), Error> {
        let mut columns = Row::new(body)?;
        let mut row = Vec::with_capacity(columns.columns().into());
        while let Some(cell) = columns.next_column()? {
            let text = cell.map(std::str::from_utf8).transpose();
            let text = text.map_err(|_| Error::protocol("a cell that is not UTF-8"))?;
            row.push(text.map(Into::into));
        }
        self.rows.push(row);
        Ok(())
    }
}

/// Collects a [`LocalResult`].
pub struct LocalReply {
    pub(super) result: LocalResult,
    pub(super) sender: oneshot::Sender<Result<LocalResult, Error>>,
}
