//! What all measurements share while the bench runs: the CPU, the tools, progress, Ctrl-C, and where the results go.

mod progress;

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail, ensure};

use crate::choice::{Choice, together};
use crate::clock::CpuClock;
use crate::figure::{Figure, Missing};
use crate::rig::{self, Rig, Tools, Unavailable};
use crate::subject::Subject;
use crate::workload::Setting;

use progress::{Progress, QUIET};

/// A run of the bench.
pub struct Run<'a> {
    /// Where everything is measured that runs on one CPU.
    pub cpu: &'a CpuClock,
    /// What set-ups need.
    pub tools: Tools<'a>,
    /// Which subjects are wanted.
    pub subjects: &'a [Subject],
    /// The long form.
    pub full: bool,
    progress: Progress,
    interrupted: &'a AtomicBool,
    figures: RefCell<Vec<Figure>>,
    missing: RefCell<Vec<Missing>>,
}

impl<'a> Run<'a> {
    /// A run that begins now.
    #[must_use]
    pub fn new(cpu: &'a CpuClock, tools: Tools<'a>, choice: &'a Choice, full: bool, interrupted: &'a AtomicBool) -> Self {
        let progress = Progress::start(QUIET, |line| eprintln!("{line}"));
        let subjects = &choice.subjects;
        let run = Self { cpu, tools, subjects, full, progress, interrupted, figures: RefCell::default(), missing: RefCell::default() };
        for lack in &choice.missing {
            run.miss(&lack.what, &lack.why);
        }
        run
    }

    /// Shows where it stands.
    pub fn say(&self, line: &str) {
        self.progress.say(line);
    }

    /// Tells what begins now: shown again and again when it takes long.
    pub fn doing(&self, what: impl ToString) {
        self.progress.doing(what.to_string());
    }

    /// Nothing, as long as nobody has pressed Ctrl-C.
    ///
    /// # Errors
    /// When somebody has.
    pub fn go_on(&self) -> Result<()> {
        ensure!(!self.interrupted.load(Ordering::Relaxed), "interrupted");
        Ok(())
    }

    /// Keeps figures.
    pub fn record(&self, figures: impl IntoIterator<Item = Figure>) {
        self.figures.borrow_mut().extend(figures);
    }

    /// Notes, once, that something was not measured.
    pub fn miss(&self, what: impl ToString, why: impl ToString) {
        let missing = Missing { what: what.to_string(), why: why.to_string() };
        if !self.missing.borrow().contains(&missing) {
            self.say(&format!("not measured: {}: {}", missing.what, missing.why));
            self.missing.borrow_mut().push(missing);
        }
    }

    /// Everything that was recorded and missed.
    ///
    /// # Errors
    /// When not one figure was recorded: a report without any is no report.
    pub fn finish(self) -> Result<(Vec<Figure>, Vec<Missing>)> {
        let (figures, missing) = (self.figures.into_inner(), self.missing.into_inner());
        if figures.is_empty() {
            let reasons: Vec<String> = missing.iter().map(|Missing { what, why }| format!("{what}: {why}")).collect();
            bail!("not one figure was measured: {}. {}", reasons.join("; "), together());
        }
        Ok((figures, missing))
    }

    /// The wanted ones of these subjects.
    pub fn wanted(&self, of: &[Subject]) -> Vec<Subject> {
        self.subjects.iter().copied().filter(|subject| of.contains(subject)).collect()
    }

    /// Sets up those of the subjects that this machine has and that can do it.
    ///
    /// # Errors
    /// When one that should work does not.
    pub fn set_up(&self, subjects: &[Subject], setting: Setting) -> Result<Vec<Rig>> {
        let mut rigs = Vec::new();
        for subject in subjects {
            self.go_on()?;
            self.doing(format!("setting up {subject}: {}", rig::describe(&setting)));
            match Rig::set_up(*subject, setting, self.tools) {
                Ok(rig) => rigs.push(rig),
                Err(Unavailable::Missing(why)) => self.miss(subject, why),
                Err(Unavailable::Failed(error)) => return Err(error.context(format!("cannot set up {subject}"))),
            }
        }
        Ok(rigs)
    }
}
