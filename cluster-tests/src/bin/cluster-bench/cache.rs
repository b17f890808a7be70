//! The cache of zones beside nginx, Varnish and Apache Traffic Server: the same requests over the same generators, with the same origin behind
//! all of them, in one run on one machine.
//!
//! Each server is pinned to the first core, and only one of them has anything to do at a time; the load and the origin are on the second.
//! For each way to ask and each size the servers are measured in turns, and the slice with the median rate is printed; then each
//! once more at the same rate, half of what the slowest of them could do. What a server costs is read from `/proc`, for all of its
//! processes. That hits were hits and misses misses is known from the origin, which counts what it is asked for. `docs/benchmarks.md` says
//! how to read the figures.

mod origin;
mod peer;
mod table;

use std::{fs, os::unix::fs::PermissionsExt};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use tempfile::TempDir;

use crate::{
    load::{self, By, Figures, Load, Target},
    process::{family, pin_this_process},
    servers,
    slicing::Slicing,
};
pub(crate) use origin::answer;

use origin::Origin;
use peer::{Peer, Program};
use table::{Measured, Row};

/// What to measure, and for how long.
#[derive(Args)]
pub(crate) struct CacheBench {
    #[command(flatten)]
    slicing: Slicing,
    /// Streams on each connection over HTTP/2, which has as many connections fewer
    #[arg(long, default_value_t = 4)]
    streams: u32,
    /// Beside what
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Program::Nginx, Program::Varnish, Program::Trafficserver])]
    beside: Vec<Program>,
    /// How to ask
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Way::Http, Way::Tls, Way::Http2, Way::Misses])]
    ways: Vec<Way>,
    /// For how much
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Size::Small, Size::Middle, Size::Large])]
    sizes: Vec<Size>,
}

/// How it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// HTTP/1.1
    Http,
    /// HTTP/1.1 over TLS
    Tls,
    /// HTTP/2 over TLS
    Http2,
    /// HTTP/1.1, each time for something that was not asked for before
    Misses,
}

/// How much it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Size {
    #[value(name = "1KB")]
    Small,
    #[value(name = "100KB")]
    Middle,
    #[value(name = "10MB")]
    Large,
}

/// The host of the zone, which all others are asked for as well.
const HOST: &str = "cdn.bench.test";

impl CacheBench {
    pub(crate) async fn run(self) -> Result<()> {
        self.slicing.check()?;
        ensure!(
            self.streams > 0 && self.slicing.connections >= self.streams,
            "--connections must be at least --streams, and that at least 1"
        );
        pin_this_process()?;
        let dir = TempDir::new()?;
        // One of the servers may run as another user.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711))?;
        servers::certificate(dir.path())?;
        let unique = dir.path().join("unique.lua");
        fs::write(&unique, UNIQUE)?;
        let origin = Origin::start()?;
        let mut peers = vec![Peer::ncore(&self.slicing.ncore, dir.path(), origin.port()).await.context("cannot start ncore")?];
        for program in &self.beside {
            let hint = || format!("cannot start {}; is it installed? `deploy/setup peers` does that", program.name());
            peers.push(Peer::start(*program, dir.path(), origin.port()).with_context(hint)?);
        }
        let bench = Bench { settings: &self, origin: &origin, peers: &peers, unique: &unique };
        table::print_head(&self);
        for way in &self.ways {
            // What is asked for once is not kept in memory by anybody: that measures the disk.
            for size in self.sizes.iter().filter(|size| *way != Way::Misses || **size != Size::Large) {
                bench.case(*way, *size).await?;
            }
        }
        Ok(())
    }
}

/// A run under way.
struct Bench<'a> {
    settings: &'a CacheBench,
    origin: &'a Origin,
    peers: &'a [Peer],
    unique: &'a std::path::Path,
}

impl Bench<'_> {
    async fn case(&self, way: Way, size: Size) -> Result<()> {
        let (able, unable): (Vec<&Peer>, Vec<&Peer>) = self.peers.iter().partition(|peer| way.is_spoken_by(peer));
        let mut rows = Vec::new();
        for peer in able {
            rows.push((peer, peer.check(way.is_secure(), size).await.map(|()| Vec::new()).context("what it answers")));
        }
        // One that has failed is not asked again for this, and the others go on.
        for round in 0..self.settings.slicing.rounds {
            for (peer, measured) in &mut rows {
                if let Ok(slices) = measured {
                    match self.slice(peer, way, size, round) {
                        Ok(figures) => slices.push(figures),
                        Err(error) => *measured = Err(error),
                    }
                }
            }
        }
        let medians = rows.into_iter().map(|(peer, slices)| (peer, slices.and_then(load::median)));
        let medians: Vec<(&Peer, Result<Figures>)> = medians.collect();
        let rates = medians.iter().filter_map(|(_, median)| median.as_ref().ok()).map(|figures| figures.requests_s);
        let slowest = rates.fold(f64::INFINITY, f64::min);
        let measured = |(peer, median): (&Peer, Result<Figures>)| {
            let measured = median.and_then(|free| {
                let paced = if way == Way::Misses { None } else { Some(self.paced(peer, way, size, slowest / 2.0)?) };
                Ok(Measured { free, paced })
            });
            Row { name: peer.name(), measured }
        };
        table::print_case(way, size, &medians.into_iter().map(measured).collect::<Vec<_>>());
        for peer in unable {
            table::print_unable(peer.name(), if way.is_secure() { "it has no TLS" } else { "it has no origin" });
        }
        Ok(())
    }

    /// As much as comes through.
    fn slice(&self, peer: &Peer, way: Way, size: Size, round: usize) -> Result<Figures> {
        let by = match way {
            Way::Http if size.is_long() => By::Discard,
            Way::Http | Way::Tls => By::Wrk(None),
            Way::Http2 => By::H2load { streams: self.settings.streams },
            Way::Misses => By::Wrk(Some(self.unique)),
        };
        let path = match way {
            Way::Misses => format!("{}/{}-{round}", size.path(), peer.name()),
            _ => size.path().to_owned(),
        };
        // Of the warm-up, so that the slice asks for nothing that the warm-up has asked for.
        let before = format!("{path}-before");
        let target = self.target(peer, way, if way == Way::Misses { &before } else { &path })?;
        let load = self.load(by);
        load::warm_up(target, load)?;
        let asked = self.origin.asked();
        let figures = load::measure(&family(peer.pid())?, Target { path: &path, ..target }, load)?;
        let asked = self.origin.asked() - asked;
        let expected = if way == Way::Misses { figures.requests } else { 0.0 };
        let off = (asked as f64 - expected).abs() / figures.requests;
        ensure!(off < OFF_MAX, "of {} requests the origin was asked {asked}", figures.requests);
        Ok(figures)
    }

    /// At a rate that all of them can do.
    fn paced(&self, peer: &Peer, way: Way, size: Size, requests_s: f64) -> Result<Figures> {
        let streams = (way == Way::Http2).then_some(self.settings.streams);
        let target = self.target(peer, way, size.path())?;
        load::measure(&family(peer.pid())?, target, self.load(By::Paced { streams, requests_s }))
    }

    fn target<'a>(&self, peer: &Peer, way: Way, path: &'a str) -> Result<Target<'a>> {
        let tls = way.is_secure();
        Ok(Target { tls, port: peer.port(tls).context("a way that it speaks")?, host: Some(HOST), path })
    }

    fn load<'a>(&self, by: By<'a>) -> Load<'a> {
        self.settings.slicing.load(by)
    }
}

impl Way {
    pub(crate) fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Http2)
    }

    fn is_spoken_by(self, peer: &Peer) -> bool {
        peer.port(self.is_secure()).is_some() && !(self == Self::Misses && peer.is_alone())
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Tls => "TLS",
            Self::Http2 => "HTTP/2",
            Self::Misses => "misses",
        }
    }
}

impl Size {
    pub(crate) fn name(self) -> &'static str {
        self.path().trim_start_matches('/')
    }

    /// The path of a content of this size at the origin.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Small => "/1KB",
            Self::Middle => "/100KB",
            Self::Large => "/10MB",
        }
    }

    /// Whether a generator that copies it would be busier with that than the server is with sending it.
    fn is_long(self) -> bool {
        self != Self::Small
    }

    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Small => 1_000,
            Self::Middle => 100_000,
            Self::Large => 10_000_000,
        }
    }
}

/// How far the count of the origin may be from what is expected, as a part of all requests: a generator that ends breaks some off.
const OFF_MAX: f64 = 0.02;

const UNIQUE: &str = include_str!("../../../peers/unique.lua");
