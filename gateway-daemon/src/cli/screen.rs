//! Where a command's answer goes: standard output, a terminal or not.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::control::ControlError;
use crate::instance::InstanceName;

/// How the reader wants it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Colours and bold.
    pub colour: bool,
    /// Columns of the terminal; `None` when the output goes to a file or another program, which wants one line per item.
    pub width: Option<u16>,
}

impl Style {
    /// That of standard output: colours on a terminal, unless `NO_COLOR` is set (no-color.org).
    fn of_stdout() -> Self {
        if !io::stdout().is_terminal() {
            return Self::default();
        }
        let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colour, width: comfy_table::Table::new().width() }
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The daemon did not answer, or refused.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// What was asked for is shown, and says that not all is in place.
    #[error("the gateway \"{instance}\" forwards nothing through {interfaces}")]
    Idle {
        /// Which was asked.
        instance: InstanceName,
        /// Their names, each with the reason.
        interfaces: String,
    },
    /// The answer could not be written.
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

/// The output and its style.
pub struct Screen<'a> {
    out: &'a mut dyn Write,
    style: Style,
}

impl<'a> Screen<'a> {
    /// A screen of its own, for tests.
    #[cfg(test)]
    pub fn new(out: &'a mut dyn Write, style: Style) -> Self {
        Self { out, style }
    }

    /// How to render.
    pub fn style(&self) -> Style {
        self.style
    }

    /// Shows text that ends with a newline.
    pub fn text(&mut self, text: &str) -> Result<(), CommandError> {
        Ok(self.out.write_all(text.as_bytes())?)
    }

    /// Shows a value as indented JSON, ended by a newline.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), CommandError> {
        serde_json::to_writer_pretty(&mut self.out, value).map_err(io::Error::from)?;
        Ok(self.out.write_all(b"\n")?)
    }
}

/// Runs a command on standard output and turns its result into an exit code; errors go to standard error.
pub fn on_stdout(command: impl FnOnce(&mut Screen<'_>) -> Result<(), CommandError>) -> ExitCode {
    let style = Style::of_stdout();
    let mut out = io::BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let result = command(&mut Screen { out: &mut out, style });
    // What was shown also when it failed, and before the reason.
    let flushed = out.flush().map_err(CommandError::from);
    exit_code(result.and(flushed), &mut io::stderr())
}

fn exit_code(result: Result<(), CommandError>, stderr: &mut dyn Write) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen enough: `gateway flows | head`.
        Err(CommandError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // Where even standard error is closed, the exit code must do.
            let _ = writeln!(stderr, "{error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::tests::sample;

    /// A pipe whose reader has gone.
    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_reader_that_leaves_is_no_failure() {
        let mut out = Gone;
        let mut screen = Screen::new(&mut out, Style::default());
        for result in [screen.json(&sample::flows()), screen.text("many flows\n")] {
            let mut errors = Vec::new();
            assert_eq!(exit_code(result, &mut errors), ExitCode::SUCCESS);
            assert_eq!(errors, b"");
        }
    }

    #[test]
    fn a_failure_is_told_even_if_nobody_listens() {
        let full = || Err(CommandError::Output(io::ErrorKind::StorageFull.into()));
        let mut errors = Vec::new();
        assert_eq!(exit_code(full(), &mut errors), ExitCode::FAILURE);
        assert_eq!(String::from_utf8(errors).unwrap(), "cannot write the answer: no storage space\n");
        assert_eq!(exit_code(full(), &mut Gone), ExitCode::FAILURE);
    }
}
