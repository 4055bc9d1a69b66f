//! A cell as an owned Rust value, the way an application would hold it.

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};
use uuid::Uuid;

/// One cell of the types the workloads use.
pub(crate) enum Cell {
    Null,
    Bool(bool),
    Int4(i32),
    Int8(i64),
    Float8(f64),
    Numeric(Decimal),
    Text(String),
    Time(DateTime<Utc>),
    Json(serde_json::Value),
    Uuid(Uuid),
    Bytes(Vec<u8>),
    Ints(Vec<i32>),
    Floats(Vec<f64>),
    Texts(Vec<String>),
}

/// All cells of a row.
pub(crate) fn decode(row: &Row) -> Result<Vec<Cell>> {
    let cell = |(index, column): (usize, &tokio_postgres::Column)| {
        Ok(match *column.type_() {
            Type::BOOL => get(row, index, Cell::Bool)?,
            Type::INT4 => get(row, index, Cell::Int4)?,
            Type::INT8 => get(row, index, Cell::Int8)?,
            Type::FLOAT8 => get(row, index, Cell::Float8)?,
            Type::NUMERIC => get(row, index, Cell::Numeric)?,
            Type::TEXT => get(row, index, Cell::Text)?,
            Type::TIMESTAMPTZ => get(row, index, Cell::Time)?,
            Type::JSON | Type::JSONB => get(row, index, Cell::Json)?,
            Type::UUID => get(row, index, Cell::Uuid)?,
            Type::BYTEA => get(row, index, Cell::Bytes)?,
            Type::INT4_ARRAY => get(row, index, Cell::Ints)?,
            Type::FLOAT8_ARRAY => get(row, index, Cell::Floats)?,
            Type::TEXT_ARRAY => get(row, index, Cell::Texts)?,
            ref other => bail!("no decoder for {other}"),
        })
    };
    row.columns().iter().enumerate().map(cell).collect()
}

fn get<'a, T: FromSql<'a>>(row: &'a Row, index: usize, wrap: fn(T) -> Cell) -> Result<Cell> {
    Ok(row.try_get::<_, Option<T>>(index)?.map_or(Cell::Null, wrap))
}
