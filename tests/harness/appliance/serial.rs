//! The serial console as somebody uses it who sits in front of it: a name, a password, a shell.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Vm;
use crate::wait::wait_for;

/// One answer, under emulation and load; login(1) itself thinks for some seconds about a wrong password.
const ANSWER: Duration = Duration::from_secs(120);
/// Asks for a name.
const LOGIN: &str = "login: ";
/// What login(1) says to a wrong password, and to one that nobody has.
const REFUSED: &str = "Login incorrect";
/// What root's shell says when it waits.
const PROMPT: &str = "# ";

/// Somebody in front of the console, logged out.
#[derive(Debug)]
pub struct Serial<'a> {
    vm: &'a Vm,
    keys: UnixStream,
}

impl<'a> Serial<'a> {
    pub(super) fn open(vm: &'a Vm, socket: &Path) -> Result<Self> {
        let keys = UnixStream::connect(socket).with_context(|| format!("cannot reach {}", socket.display()))?;
        // What is shown stands in the log already. But unread, it would stop the console after some hundred characters.
        let mut shown = keys.try_clone()?;
        std::thread::spawn(move || std::io::copy(&mut shown, &mut std::io::sink()));
        Ok(Self { vm, keys })
    }

    /// Tries to log in as root, and gives what a shell says to this line, or nothing when there was none to be had. Logs out again.
    ///
    /// # Errors
    /// When the machine asks for no name or no password, or says neither yes nor no to it within two minutes.
    pub fn log_in(&mut self, password: &str, line: &str) -> Result<Option<String>> {
        // An empty name would be one: login(1) asks for its password.
        if !self.vm.console().ends_with(LOGIN) {
            self.say("", &[LOGIN])?;
        }
        self.say("root", &["Password: "])?;
        let from = self.vm.console().len();
        let answer = self.say(password, &[REFUSED, PROMPT])?;
        if answer.contains(REFUSED) {
            self.wait(from, &[LOGIN])?;
            return Ok(None);
        }
        ensure!(!answer.contains(password), "the console shows the password");
        // Between marks that do not stand in what is typed, which the terminal shows too.
        let said = self.say(&format!("printf 'be''gin %s en''d\\n' \"$({line})\""), &[" end"])?;
        self.say("exit", &[LOGIN])?;
        let text = said.split_once("begin ").and_then(|(_, rest)| rest.split_once(" end")).map(|(text, _)| text.to_owned());
        text.map(Some).with_context(|| format!("the shell said {said:?}"))
    }

    /// Types a line, and waits until the console shows one of these behind it; gives all that it has shown since.
    fn say(&mut self, line: &str, expected: &[&str]) -> Result<String> {
        let from = self.vm.console().len();
        write!(self.keys, "{line}\r").context("nobody reads what is typed")?;
        self.wait(from, expected)
    }

    /// Waits until the console shows one of these behind its first `from` bytes; gives all that stands there.
    fn wait(&self, from: usize, expected: &[&str]) -> Result<String> {
        wait_for(ANSWER, format_args!("one of {expected:?} on the console"), || {
            let console = self.vm.console();
            let new = console.get(from..).unwrap_or_default();
            Ok(expected.iter().any(|text| new.contains(text)).then(|| new.to_owned()))
        })
        .with_context(|| format!("the end of the console:\n{}", end_of(&self.vm.console())))
    }
}

impl Drop for Serial<'_> {
    /// Ends the reader, whose socket is the same.
    fn drop(&mut self) {
        let _ = self.keys.shutdown(Shutdown::Both);
    }
}

fn end_of(console: &str) -> String {
    let lines: Vec<&str> = console.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
