//! The workshop: a Debian root with tools in it, entered for one command at a time.

use std::path::Path;

/// Mounts of a namespace of its own, gone with the command: devices, processes, and the work, in a place that every Debian root has.
const ENTER: &str = "set -e; root=$1; work=$2; shift 2; \
    mount -t proc proc \"$root/proc\"; mount --rbind /dev \"$root/dev\"; mount -t tmpfs -o mode=1777 tmp \"$root/tmp\"; \
    mount --bind \"$work\" \"$root/srv\"; exec chroot \"$root\" \"$@\"";

/// The words that run `program` of the root `builder` with the directory `work` as its own, in there, at a low priority. Each of them becomes
/// the next one, so that the process is the program in the end.
#[must_use]
pub fn enter(builder: &Path, work: &Path, program: &str, arguments: &[&str]) -> Vec<String> {
    let fixed = ["nice", "-n", "10", "unshare", "--mount", "--propagation", "private", "--", "sh", "-c", ENTER, "enter"];
    let mut words: Vec<String> = fixed.map(str::to_owned).to_vec();
    words.extend([builder.display().to_string(), work.display().to_string()]);
    words.extend(["env", "--chdir=/srv", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "TZ=UTC", program].map(str::to_owned));
    words.extend(arguments.iter().map(|&word| word.to_owned()));
    words
}
