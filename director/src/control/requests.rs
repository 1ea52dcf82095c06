//! What operators ask for: overrides and reloads. Refused as a whole, or done as a whole.

use super::picture::probes::{Clock, history};
use super::purge::Due;
use super::{Control, Scope, clocks, picture};
use crate::command::OverrideChange;
use crate::command::error::CommandError;
use crate::configuration::Configuration;
use crate::explain::Moment;
use crate::kernel::settings::Settings;
use crate::status::ProbeHistory;
use crate::trial::Plan;
use crate::verdicts::standings;
use director_core::config::closest;
use director_core::explain::{Place, Question};
use director_core::ids::Registry;
use director_core::model::{RealServer, Service};
use director_core::ports::{PortSelection, PortState};
use std::sync::Arc;
use std::time::Instant;
use tokio::task::block_in_place;

impl Control {
    pub(super) async fn change(
        &mut self,
        service: &str,
        server: &str,
        change: OverrideChange,
    ) -> Result<(), CommandError> {
        self.find(service, server)?;
        let before = self.memory.overrides().clone();
        let refused = |error: crate::state::StateError| CommandError::State(error.to_string());
        self.memory.change(service, server, change, clocks().wall).map_err(refused)?;
        tracing::info!(service, server, ?change, "override");
        // Who drains asks next what is left: figures from before would say too little.
        self.counting.schedule().distrust();
        if let Err(error) = self.reconcile(Scope::Service(service)).await {
            self.memory.set_overrides(before).map_err(refused)?;
            return Err(CommandError::Kernel(error));
        }
        Ok(())
    }

    pub(super) async fn change_ports(
        &mut self,
        service: &str,
        ports: PortSelection,
        state: Option<PortState>,
    ) -> Result<(), CommandError> {
        let found = self.find_service(service)?;
        let meant = ports.of(found).map_err(|ports| CommandError::UnknownPort {
            service: service.to_owned(),
            ports,
            known: picture::ports(&found.ports),
        })?;
        let before = self.memory.ports().clone();
        let states = before.get(service).cloned().unwrap_or_default().with(&meant, state);
        let states = states.ok_or_else(|| CommandError::TooManyPorts { service: service.to_owned() })?;
        let mut after = before.clone();
        after.insert(service.to_owned(), states);
        let refused = |error: crate::state::StateError| CommandError::State(error.to_string());
        self.memory.set_ports(after).map_err(refused)?;
        tracing::info!(service, %ports, state = state.map_or("as configured", PortState::name), "ports");
        if let Err(error) = self.reconcile(Scope::Service(service)).await {
            self.memory.set_ports(before).map_err(refused)?;
            return Err(CommandError::Kernel(error));
        }
        Ok(())
    }

    /// What the probes of a server say, with their last attempts.
    pub(super) fn probes(&self, service: &str, server: &str) -> Result<Vec<ProbeHistory>, CommandError> {
        let server = self.find(service, server)?;
        let service = self.find_service(service)?;
        let clock = Clock::now();
        let standings = standings(&self.configuration.model, service, server, &self.verdicts);
        Ok(standings.map(|it| history(&it, clock)).collect())
    }

    /// What it takes to try the probes of a server.
    pub(super) fn trial(
        &self,
        service: &str,
        server: &str,
        probe: Option<&str>,
    ) -> Result<Plan, CommandError> {
        let Configuration { model, node, .. } = &self.configuration;
        Plan::new(model, node, (service, server), probe)
    }

    /// What it takes to explain a connection.
    pub(super) fn moment(&self, question: &Question) -> Moment {
        let model = &self.configuration.model;
        let offer = match question.place(model) {
            Place::Service(service) => self.offers.get(&service.name).cloned(),
            Place::Management(_) | Place::Undeclared | Place::Elsewhere => None,
        };
        Moment {
            model: Arc::clone(model),
            registry: Arc::clone(&self.registry),
            offer: offer.unwrap_or_default(),
            protects: !self.dataplane.unprotected(),
        }
    }

    pub(super) fn find(&self, service: &str, server: &str) -> Result<&RealServer, CommandError> {
        let found = self.find_service(service)?;
        found.servers.get(server).ok_or_else(|| {
            let suggestion = closest(server, found.servers.keys().map(String::as_str)).map(str::to_owned);
            let (service, name) = (service.to_owned(), server.to_owned());
            CommandError::UnknownServer { service, name, suggestion }
        })
    }

    pub(super) fn find_service(&self, service: &str) -> Result<&Service, CommandError> {
        let services = &self.configuration.model.services;
        services.get(service).ok_or_else(|| {
            let suggestion = closest(service, services.keys().map(String::as_str)).map(str::to_owned);
            CommandError::UnknownService { name: service.to_owned(), suggestion }
        })
    }

    /// Replaces the configuration, or keeps the old one and says why.
    pub(super) async fn reload(&mut self) -> Result<(), CommandError> {
        let result = self.try_reload().await;
        match &result {
            Ok(()) => {
                self.history.refusal = None;
                self.history.reloads += 1;
                tracing::info!(hash = self.configuration.hash, "configuration loaded");
                self.configuration.warn();
            }
            Err(error) => {
                self.history.refusal = Some(error.to_string());
                self.history.refused += 1;
                tracing::error!("{error}");
            }
        }
        result
    }

    async fn try_reload(&mut self) -> Result<(), CommandError> {
        let configuration = block_in_place(|| Configuration::reload(&self.options.config, &self.node_name))
            .map_err(|error| CommandError::Configuration(error.to_string()))?;
        if configuration.model.api != self.configuration.model.api {
            let error = "what stands under `api` can't change while the director runs: restart it \
                         (nothing is interrupted)";
            return Err(CommandError::Configuration(error.to_owned()));
        }
        let mut registry = Registry::clone(&self.registry);
        registry
            .assign(&configuration.model)
            .map_err(|error| CommandError::Configuration(error.to_string()))?;
        self.memory.save_registry(&registry).map_err(|error| CommandError::State(error.to_string()))?;

        self.move_entries(&configuration.model, &registry);
        let before = (self.configuration.clone(), Arc::clone(&self.registry));
        let pools = self.pools.clone();
        let verdicts = Arc::clone(&self.verdicts);
        self.put_in_force(configuration, Arc::new(registry));
        self.follow();
        let counting = self.watch_connections().map_err(|error| error.to_string());
        let reconciled = match counting {
            Ok(()) => self.reconcile(Scope::Everything).await,
            Err(error) => Err(error),
        };
        if let Err(error) = reconciled {
            self.put_in_force(before.0, before.1);
            self.pools = pools;
            self.verdicts = verdicts;
            self.moved.clear();
            if let Err(error) = self.watch_connections() {
                tracing::error!(%error, "schedulers go by old counts of connections");
            }
            let _ = self.reconcile(Scope::Everything).await;
            return Err(CommandError::Kernel(error));
        }
        self.history.loaded = Instant::now();
        self.probe_on();
        self.bury(Some(&before.0.model));
        if self.configuration.model.public_addresses() != before.0.model.public_addresses() {
            self.purge.add(Due::Untranslated, Instant::now());
        }
        self.keeper.hurry();
        Ok(())
    }

    fn put_in_force(&mut self, configuration: Configuration, registry: Arc<Registry>) {
        self.settings = Settings::new(&configuration.model, &configuration.node);
        self.virtuals_in_doubt = true;
        self.router = configuration.router().map(Arc::new);
        self.configuration = configuration;
        self.registry = registry;
    }
}
