//! Masks against the references' answers, by properties, and with bad input.

#[path = "../../examples/mask_answers/answer.rs"]
mod answer;
mod answers;
mod properties;
mod refusals;
