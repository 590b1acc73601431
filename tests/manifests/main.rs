//! `containerdisk/manifests/`: what platforms accept, with policies that the gateway accepts, and of one piece.
//!
//! The platforms' published schemas are looked for in `../shared/schemas`, beside the project, or in the directory that `GATEWAY_SCHEMAS`
//! names. What they say by CEL rules (`x-kubernetes-validations`) is not looked at.

mod change;
mod documents;
mod given;
mod machines;
mod pieces;
mod policies;
mod remedies;
mod schemas;
