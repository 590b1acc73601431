//! `cargo xtask image`: the appliance, from this tree and Debian packages to a qcow2 disk and a containerDisk.
//!
//! The recipe's data is in `containerdisk/`. What comes from the network (two Debian roots) is kept in the project's directory of tools; what
//! is made of it is made in one go and is the same, bit by bit, for the same input.

mod debian;
mod digest;
mod disk;
mod grub;
mod initramfs;
mod modules;
mod oci;
mod program;
mod recipe;
mod report;
mod sbom;
mod tree;
mod workshop;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gateway_tests::appliance::Image;
use gateway_tests::appliance::story::{self, Tale, pace};

use crate::progress::Progress;
use crate::setup::{self, Tools};
use crate::shell::interruption;
use debian::Root;
pub use debian::no_archive;
use digest::Digest;
use program::Program;
use recipe::Recipe;
use report::Report;
use workshop::Workshop;

/// What `image` is asked for.
///
/// Builds the release daemon, a Debian root with it, a disk that boots by BIOS and by UEFI, the qcow2, the containerDisk as an OCI archive,
/// and the list of what is inside (CycloneDX). The Debian roots are fetched once; `--fresh` fetches them again, for updates.
#[derive(clap::Args, Default)]
pub struct Arguments {
    /// Fetch the Debian packages again, although they are here.
    #[arg(long)]
    fresh: bool,
    /// Build everything after the Debian packages a second time, and compare the digests.
    #[arg(long)]
    twice: bool,
    /// Then build it again, which is to be quick and to make the same, boot it between two networks of namespaces, by BIOS, by UEFI and
    /// without a loader, and drive real traffic through it.
    #[arg(long)]
    test: bool,
    /// Of the tests only the short one: it boots, it forwards by tc and by XDP.
    #[arg(long, requires = "test")]
    short: bool,
}

/// The names of what is made, in the output directory.
mod output {
    /// The disk.
    pub const DISK: &str = "gateway.qcow2";
    /// The containerDisk.
    pub const ARCHIVE: &str = "gateway-containerdisk.tar";
    /// What is inside.
    pub const SBOM: &str = "gateway.cdx.json";
    /// All of them.
    pub const ALL: [&str; 3] = [DISK, ARCHIVE, SBOM];
    /// Written last: the digest of the input they were made of.
    pub const STAMP: &str = ".made-of";
}

/// Longer than a build takes when nothing has changed, on a machine with other work to do.
const AGAIN: Duration = Duration::from_secs(30);

/// Builds the image; prints where it is, its sizes and digests.
///
/// # Errors
/// When not root, or when a step fails; with the end of its log.
pub fn run(arguments: &Arguments) -> Result<()> {
    let progress = Progress::start();
    let (report, image) = build(&progress, arguments)?;
    print!("{report}");
    if arguments.test && !arguments.short {
        build_again(&progress)?;
    }
    let tales: &[Tale] = match (arguments.test, arguments.short) {
        (false, _) => &[],
        (true, true) => &[Tale::Forwards],
        (true, false) => &Tale::FULL,
    };
    let mut stories = Vec::new();
    for tale in tales {
        progress.say(format_args!("image: booting it under emulation, {}", tale.title()));
        let story = story::tell(&image, *tale, &interruption(), |line| progress.say(format_args!("  {}: {}", line.what, line.seen)))?;
        print!("\n{story}\n");
        stories.push(story);
    }
    if arguments.test && !arguments.short {
        println!("{}", pace::judge(&stories)?);
    }
    Ok(())
}

/// The image for the workspace's tests: built, or as it was built before.
///
/// # Errors
/// As [`run`].
pub fn for_tests(progress: &Progress) -> Result<Image> {
    build(progress, &Arguments::default()).map(|(_, image)| image)
}

/// Builds it once more: with nothing changed, in no time; and from the Debian packages on, with the same outcome.
fn build_again(progress: &Progress) -> Result<()> {
    let start = Instant::now();
    build(progress, &Arguments::default())?;
    is_quick(start.elapsed())?;
    progress.say(format_args!("image: built again within {:.1} s", start.elapsed().as_secs_f64()));
    build(progress, &Arguments { twice: true, ..Arguments::default() }).map(drop)
}

fn is_quick(took: Duration) -> Result<()> {
    let (took, limit) = (took.as_secs_f64(), AGAIN.as_secs());
    ensure!(took < AGAIN.as_secs_f64(), "nothing has changed, and the second build took {took:.1} s; it shall take less than {limit} s");
    Ok(())
}

/// The workshop alone: a root with qemu in it.
///
/// # Errors
/// When it cannot be fetched.
pub fn workshop(progress: &Progress) -> Result<PathBuf> {
    let tools = Tools::open()?;
    let _lock = tools.lock()?;
    Ok(debian::builder(progress, &tools, &Recipe::read()?, false)?.path)
}

fn build(progress: &Progress, arguments: &Arguments) -> Result<(Report, Image)> {
    ensure!(rustix::process::geteuid().is_root(), "the image's root belongs to root, and only root can make files of root; run it as root");
    setup::run(&setup::Arguments::for_image())?;
    let tools = Tools::open()?;
    let recipe = Recipe::read()?;
    progress.say("image: the daemon (release), which is what it is all about");
    let program = Program::build()?;
    // Two clones may fetch at the same time: the second waits, and then finds everything done.
    let lock = tools.lock()?;
    let builder = debian::builder(progress, &tools, &recipe, arguments.fresh)?;
    let root = debian::root(progress, &tools, &recipe, arguments.fresh)?;
    drop(lock);
    let made_of = Digest::of_all(&[recipe.digest(), &program.digest, &root.digest, &builder.digest]);
    let directory = output_directory();
    let make = Make { progress, recipe: &recipe, program: &program, root: &root, builder: &builder.path };
    if std::fs::read_to_string(directory.join(output::STAMP)).is_ok_and(|stamp| stamp == made_of.hex()) {
        progress.say("image: nothing has changed since the last build");
    } else {
        make.run(&directory)?;
        std::fs::write(directory.join(output::STAMP), made_of.hex())?;
    }
    let report = Report::of(&directory)?;
    if arguments.twice {
        progress.say("image: once more, to compare");
        let again = directory.join("again");
        make.run(&again)?;
        report.must_equal(&Report::of(&again)?)?;
        std::fs::remove_dir_all(&again)?;
        progress.say("image: both builds are the same, bit by bit");
    }
    Ok((report, Image { disk: directory.join(output::DISK), builder: builder.path }))
}

/// Everything after the Debian packages.
struct Make<'a> {
    progress: &'a Progress,
    recipe: &'a Recipe,
    program: &'a Program,
    root: &'a Root,
    builder: &'a Path,
}

impl Make<'_> {
    fn run(&self, directory: &Path) -> Result<()> {
        let _ = std::fs::remove_file(directory.join(output::STAMP));
        let work = directory.join("work");
        if work.exists() {
            std::fs::remove_dir_all(&work).with_context(|| format!("cannot clear {}", work.display()))?;
        }
        std::fs::create_dir_all(&work)?;
        let workshop = Workshop::new(self.builder, &work, self.recipe.epoch());
        self.progress.say("image: the root: Debian's files, the project's over them, the daemon");
        let tree = tree::make(&workshop, self.recipe, self.root, &self.program.path)?;
        self.progress.say("image: the initramfs: busybox and the modules that the root needs");
        initramfs::make(&workshop, self.recipe, &tree)?;
        self.progress.say("image: the disk: partition table, ESP, ext4, both boot loaders");
        disk::make(&workshop, self.recipe, &tree)?;
        self.progress.say("image: qcow2, compressed");
        workshop.run("qemu-img", &["convert", "-O", "qcow2", "-c", "-o", "compression_type=zstd", disk::RAW, output::DISK])?;
        self.progress.say("image: the containerDisk, an OCI archive");
        oci::make(&workshop, self.recipe, output::DISK, output::ARCHIVE)?;
        self.progress.say("image: the list of what is inside (CycloneDX)");
        sbom::write(&work.join(output::SBOM), self.recipe, &tree, self.builder, self.program)?;
        for name in output::ALL {
            std::fs::rename(work.join(name), directory.join(name)).with_context(|| format!("cannot put {name} in place"))?;
        }
        std::fs::remove_dir_all(&work).with_context(|| format!("cannot clear {}", work.display()))
    }
}

/// `<target>/image`.
fn output_directory() -> PathBuf {
    crate::shell::target_directory().join("image")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[ignore = "builds the image up to three times"]
    fn a_second_build_takes_no_time_and_makes_the_same() {
        let skip = |why: &str| gateway_tests::skip::skip("image::a_second_build_takes_no_time_and_makes_the_same", why);
        if !rustix::process::geteuid().is_root() {
            return skip("only root can make the image");
        }
        let progress = Progress::start();
        if let Err(error) = build(&progress, &Arguments::default()) {
            return skip(&no_archive().unwrap_or_else(|| panic!("{error:#}")));
        }
        build_again(&progress).unwrap();
    }

    #[test]
    fn a_second_build_has_half_a_minute() {
        is_quick(Duration::from_millis(29_900)).unwrap();
        assert!(is_quick(Duration::from_secs(30)).unwrap_err().to_string().contains("took 30.0 s"));
    }
}
