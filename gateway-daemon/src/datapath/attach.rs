//! Programs on interfaces.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use aya::programs::links::LinkOrder;
use aya::programs::tc::{NlOptions, SchedClassifierLinkId, TcAttachOptions};
use aya::programs::xdp::XdpLinkId;
use aya::programs::{ProgramError, SchedClassifier, TcAttachType, XdpMode};
use aya::util::KernelVersion;

use super::error::DatapathError;
use super::load::{Loaded, TC};
use crate::inventory::IfIndex;
use crate::model::InterfaceName;
use crate::plan::{Plan, PlannedInterface};

/// How tc was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcHook {
    /// A tcx link (Linux 6.6).
    Tcx,
    /// A filter on a clsact qdisc.
    Clsact,
}

impl TcHook {
    /// The better one of those that this kernel has.
    #[must_use]
    pub fn of_this_kernel() -> Self {
        let tcx = KernelVersion::current().is_ok_and(|version| version >= KernelVersion::new(6, 6, 0));
        if tcx { Self::Tcx } else { Self::Clsact }
    }
}

impl fmt::Display for TcHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        })
    }
}

/// What an interface has.
#[derive(Debug)]
pub struct Attachment {
    /// How tc was reached.
    pub hook: TcHook,
    tc: SchedClassifierLinkId,
    xdp: Option<XdpLinkId>,
    /// The interface whose clsact qdisc was made for this attachment.
    qdisc: Option<InterfaceName>,
    /// Why XDP, which was wanted, is not there.
    pub refused: Option<String>,
}

impl Attachment {
    /// XDP stands before tc.
    #[must_use]
    pub fn has_xdp(&self) -> bool {
        self.xdp.is_some()
    }
}

/// Every attachment.
#[derive(Debug)]
pub struct Attachments {
    hook: TcHook,
    /// By interface.
    pub held: BTreeMap<IfIndex, Attachment>,
}

impl Attachments {
    /// None yet; `hook` is how tc will be reached.
    pub fn new(hook: TcHook) -> Self {
        Self { hook, held: BTreeMap::new() }
    }

    /// Attaches where the plan has an interface, detaches where it has none any more.
    ///
    /// # Errors
    /// tc is refused on an interface, which then does not forward: the first such error, once all others have been attached. XDP may be
    /// refused; the reason is kept.
    pub fn follow(&mut self, loaded: &mut Loaded, plan: &Plan) -> Result<(), DatapathError> {
        let gone: Vec<IfIndex> = self.held.keys().filter(|index| !plan.interfaces.contains_key(index)).copied().collect();
        for index in gone {
            if let Some(attachment) = self.held.remove(&index) {
                detach(loaded, attachment);
            }
        }
        let mut first = Ok(());
        for (index, planned) in &plan.interfaces {
            let followed = self.follow_interface(loaded, *index, planned);
            first = first.and(followed);
        }
        first
    }

    fn follow_interface(&mut self, loaded: &mut Loaded, index: IfIndex, planned: &PlannedInterface) -> Result<(), DatapathError> {
        let attachment = match self.held.entry(index) {
            Entry::Occupied(held) => held.into_mut(),
            Entry::Vacant(free) => free.insert(attach_tc(self.hook, loaded.tc()?, planned)?),
        };
        follow_xdp(loaded, index, planned, attachment)
    }
}

fn attach_tc(hook: TcHook, program: &mut SchedClassifier, planned: &PlannedInterface) -> Result<Attachment, DatapathError> {
    let name = &planned.name.0;
    let (options, qdisc) = match hook {
        TcHook::Tcx => (TcAttachOptions::TcxOrder(LinkOrder::default()), None),
        TcHook::Clsact => {
            // It exists already on a machine with other tc programs, and then stays; if it cannot be made, attaching says so.
            let made = aya::programs::tc::qdisc_add_clsact(name).is_ok();
            // Unlike a link, a filter outlives the daemon that was killed; and a qdisc that held nothing else was made for it.
            let left = !made && aya::programs::tc::qdisc_detach_program(name, TcAttachType::Ingress, TC[0]).is_ok();
            let ours = made || (left && is_empty_qdisc(name));
            (TcAttachOptions::Netlink(NlOptions::default()), ours.then(|| planned.name.clone()))
        }
    };
    match program.attach_with_options(name, TcAttachType::Ingress, options) {
        Ok(tc) => Ok(Attachment { hook, tc, xdp: None, qdisc, refused: None }),
        Err(source) => {
            remove_qdisc(qdisc);
            Err(DatapathError::Program { what: format!("tc on {name}"), source })
        }
    }
}

fn tc(arguments: [&str; 5]) -> std::io::Result<std::process::Output> {
    std::process::Command::new("tc").args(arguments).output()
}

fn is_empty_qdisc(interface: &str) -> bool {
    let is_empty = |direction| tc(["filter", "show", "dev", interface, direction]).is_ok_and(|output| output.stdout.is_empty());
    is_empty("ingress") && is_empty("egress")
}

/// aya makes a clsact qdisc but cannot remove one. It is left where somebody else's filter stands in it: tc refuses nothing, so it is asked
/// first.
fn remove_qdisc(interface: Option<InterfaceName>) {
    let Some(InterfaceName(name)) = interface else { return };
    if is_empty_qdisc(&name) {
        // The interface may be gone, and its qdisc with it.
        let _ = tc(["qdisc", "del", "dev", &name, "clsact"]);
    }
}

fn follow_xdp(loaded: &mut Loaded, index: IfIndex, planned: &PlannedInterface, attachment: &mut Attachment) -> Result<(), DatapathError> {
    match (planned.xdp, attachment.xdp.take()) {
        (true, Some(link)) => attachment.xdp = Some(link),
        (true, None) if attachment.refused.is_none() => match loaded.xdp()?.attach_to_if_index(index.0, XdpMode::Driver) {
            Ok(link) => attachment.xdp = Some(link),
            Err(error) => attachment.refused = Some(explain(&error)),
        },
        (true, None) => {}
        (false, link) => {
            attachment.refused = None;
            if let Some(link) = link {
                let _ = loaded.xdp()?.detach(link);
            }
        }
    }
    Ok(())
}

fn detach(loaded: &mut Loaded, attachment: Attachment) {
    // The interface may be gone, and its links with it.
    if let Ok(program) = loaded.tc() {
        let _ = program.detach(attachment.tc);
    }
    if let (Some(link), Ok(program)) = (attachment.xdp, loaded.xdp()) {
        let _ = program.detach(link);
    }
    remove_qdisc(attachment.qdisc);
}

/// One line of why, down to the kernel's own answer.
fn explain(error: &ProgramError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
