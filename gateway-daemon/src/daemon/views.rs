//! What the live commands are shown.

use super::DaemonError;
use super::engine::Handling;
use super::gateway::Gateway;
use super::reload::try_reload;
use crate::control::view::{Datapath, InterfaceView, LinkState, PolicyView, RuleCounts, StatusView, ZoneView};
use crate::control::{ControlRequest, Refusal, RefusalKind, Request, Response};
use crate::inventory::IfIndex;
use crate::model;
use crate::plan::Waiting;

/// Answers one request. A client that is gone is no error.
pub async fn answer(gateway: &mut Gateway, request: ControlRequest) {
    let response = match respond(gateway, request.request).await {
        Ok(response) => response,
        Err(failed) => Response::Refused(Refusal::new(RefusalKind::Failed, super::error::chain(&failed))),
    };
    let _ = request.reply.send(response);
}

async fn respond(gateway: &mut Gateway, request: Request) -> Result<Response, DaemonError> {
    Ok(match request {
        Request::Status => Response::Status(Box::new(gateway.status().await?)),
        Request::Flows { filter } => {
            let (engine, scene) = gateway.scene();
            Response::Flows(filter.select(engine.flows(scene)?))
        }
        Request::Mappings => {
            let (engine, scene) = gateway.scene();
            Response::Mappings(engine.mappings(scene)?)
        }
        Request::Drops => {
            let (engine, scene) = gateway.scene();
            Response::Drops(engine.drops(scene).await?)
        }
        Request::Reload => match try_reload(gateway).await {
            Ok(()) => Response::Reloaded(gateway.policy_view()),
            Err(lines) => Response::Refused(Refusal::new(RefusalKind::Policy, lines.join("\n"))),
        },
    })
}

impl Gateway {
    async fn status(&mut self) -> Result<StatusView, DaemonError> {
        let (engine, scene) = self.scene();
        let (tables, traffic) = (engine.tables()?, engine.traffic(scene).await?);
        Ok(StatusView {
            instance: self.options.instance.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready: self.ready,
            policy: self.policy_view(),
            interfaces: self.interfaces(),
            zones: self.zones(),
            tables,
            traffic,
            uptime_seconds: self.started.elapsed().as_secs(),
        })
    }

    fn policy_view(&self) -> PolicyView {
        let model = &self.policy.model;
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        PolicyView {
            file: self.policy.path.display().to_string(),
            generation: self.generation,
            loaded_at: self.policy.loaded_at,
            rules: RuleCounts {
                firewall: count(model.firewall.rules.len()),
                nat_source: count(model.nat.source.len()),
                nat_destination: count(model.nat.destination.len()),
                routes: count(model.routes.len()),
            },
            warnings: self.policy.warnings.iter().chain(&self.problems).cloned().chain(self.engine.differences(model)).collect(),
            error: if self.reload_errors.is_empty() { None } else { Some(self.reload_errors.join("\n")) },
        }
    }

    fn zones(&self) -> Vec<ZoneView> {
        let view = |zone: &model::Zone| ZoneView {
            name: zone.name.0.clone(),
            interfaces: zone.interfaces.iter().map(|name| name.0.clone()).collect(),
        };
        self.policy.model.zones.iter().map(view).collect()
    }

    fn interfaces(&self) -> Vec<InterfaceView> {
        let planned = self.plan.interfaces.iter().map(|(index, planned)| {
            let mut handling = self.engine.handling(*index, planned);
            if self.without_ipv6_errors.contains(index) {
                handling.reason.push_str("; this kernel sends no ICMPv6 errors for packets that cannot be forwarded (before Linux 6.17)");
            }
            self.interface(&planned.name, &planned.zone, Some(*index), handling)
        });
        let waiting = self.plan.waiting.iter().map(|waiting: &Waiting| {
            let index = self.observer.inventory().link(&waiting.name).map(|link| link.index);
            let handling = Handling { datapath: Datapath::None, attach: "-".to_owned(), reason: waiting.reason.to_string() };
            self.interface(&waiting.name, &waiting.zone, index, handling)
        });
        planned.chain(waiting).collect()
    }

    fn interface(&self, name: &model::InterfaceName, zone: &model::ZoneName, index: Option<IfIndex>, handling: Handling) -> InterfaceView {
        let link = index.and_then(|index| self.observer.inventory().links.get(&index));
        InterfaceView {
            name: name.0.clone(),
            ifindex: index.map(|index| index.0),
            zone: Some(zone.0.clone()),
            state: match link {
                None => LinkState::Missing,
                Some(link) if !link.up => LinkState::Down,
                Some(link) if !link.carrier => LinkState::NoCarrier,
                Some(_) => LinkState::Up,
            },
            mac: link.and_then(|link| link.mac).map(|mac| mac.0.map(|byte| format!("{byte:02x}")).join(":")),
            mtu: link.map(|link| link.mtu),
            addresses: link.map(|link| link.addresses.clone()).unwrap_or_default(),
            datapath: handling.datapath,
            attach: handling.attach,
            reason: handling.reason,
        }
    }
}
