//! Where the bench stands: a line for each step, and a sign of life while one takes long.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Nothing is silent for longer than two seconds, this and a line's way to the terminal.
pub const QUIET: Duration = Duration::from_millis(1800);

/// Characters of a line that are enough to tell it from others.
const SHORT: usize = 60;

/// Something to show.
enum Word {
    /// A step was done.
    Line(String),
    /// What goes on from now, shown when it takes long.
    Doing(String),
}

/// Shows lines, each with the time since the start.
pub struct Progress {
    words: Option<Sender<Word>>,
    printer: Option<JoinHandle<()>>,
}

impl Progress {
    /// Starts the clock. `show` gets every line; after `quiet` without one, what goes on.
    pub fn start(quiet: Duration, mut show: impl FnMut(String) + Send + 'static) -> Self {
        let begin = Instant::now();
        let (words, received) = channel();
        // A thread, because the measuring one is in the kernel for seconds.
        let printer = std::thread::spawn(move || {
            let mut show = |line: &str| show(format!("[{:6.1}s] {line}", begin.elapsed().as_secs_f32()));
            let (mut doing, mut since) = ("starting".to_owned(), Instant::now());
            let mut spoken = Instant::now();
            loop {
                match received.recv_timeout(quiet.saturating_sub(spoken.elapsed())) {
                    Ok(Word::Line(line)) => {
                        show(&line);
                        let done: String = line.chars().take(SHORT).collect();
                        (doing, since, spoken) = (format!("after: {done}"), Instant::now(), Instant::now());
                    }
                    Ok(Word::Doing(what)) => (doing, since) = (what, Instant::now()),
                    Err(RecvTimeoutError::Timeout) => {
                        show(&format!("  … {doing}, for {:.0} s", since.elapsed().as_secs_f32()));
                        spoken = Instant::now();
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        });
        Self { words: Some(words), printer: Some(printer) }
    }

    /// Shows a line.
    pub fn say(&self, line: &str) {
        self.send(Word::Line(line.to_owned()));
    }

    /// Tells what begins now.
    pub fn doing(&self, what: String) {
        self.send(Word::Doing(what));
    }

    fn send(&self, word: Word) {
        // Only a printer that has panicked does not listen, and that is seen anyhow.
        let _ = self.words.as_ref().map(|words| words.send(word));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // Everything that was said is shown before anything else is.
        drop(self.words.take());
        let _ = self.printer.take().map(JoinHandle::join);
    }
}
