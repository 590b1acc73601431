//! What people type: one module per subcommand of `gateway`.

pub mod check;
