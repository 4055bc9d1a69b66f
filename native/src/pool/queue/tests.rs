//! Behaviour of the books, case by case.
