//! The store that the arguments mean: a folder or a database, and a log in it.

use std::path::{Path, PathBuf};

use factum::{AnyStore, Clock, ConsumerName, Position, StoreError, StoreErrorKind};
use factum_embedded::EmbeddedStore;
use factum_postgres::{DEFAULT_LOG, PostgresStore};

use crate::args::Global;
use crate::exit::Failure;

/// Where a store is.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// In a folder.
    Folder(PathBuf),
    /// In a PostgreSQL database.
    Postgres {
        /// The database.
        url: String,
        /// Which of its logs.
        log: String,
    },
}

/// Where the other logs of a folder are, each in a folder of its own.
pub(crate) const LOGS: &str = "logs";

/// An open store, of either kind.
pub(crate) enum Opened {
    Embedded(EmbeddedStore),
    Postgres(PostgresStore),
}

impl Target {
    /// What `--store`, `--dir` and `--log` mean.
    pub(crate) fn of(global: &Global) -> Result<Self, Failure> {
        let place = global.store.as_ref().map_or_else(|| global.dir.display().to_string(), Clone::clone);
        match &global.store {
            Some(url) if !is_url(url) => Err(Failure::usage(format!("--store {url} is no URL"))
                .hint("write postgres://USER@HOST/DATABASE, or name a folder with --dir")),
            Some(_) => Self::at(&place, global.log.as_deref()),
            None => Ok(Self::Folder(folder(&global.dir, global.log.as_deref())?)),
        }
    }

    /// The store at a URL or in a folder.
    pub(crate) fn at(place: &str, log: Option<&str>) -> Result<Self, Failure> {
        match is_url(place) {
            true => Ok(Self::Postgres { url: place.to_owned(), log: log.unwrap_or(DEFAULT_LOG).to_owned() }),
            false if place.contains("://") => {
                Err(Failure::usage(format!("{place} is neither a database of PostgreSQL nor a folder"))
                    .hint("write postgres://USER@HOST/DATABASE, or name a folder"))
            }
            false => Ok(Self::Folder(folder(Path::new(place), log)?)),
        }
    }

    /// Opens the store to append, and creates it where there is none.
    pub(crate) async fn writer(&self) -> Result<Opened, Failure> {
        self.check()?;
        Ok(match self {
            Self::Folder(dir) => Opened::Embedded(factum_embedded::open(dir)?),
            Self::Postgres { url, log } => Opened::Postgres(factum_postgres::Options::default().log(log).open(url).await?),
        })
    }

    /// Opens the store as [`writer`](Self::writer), and has it go by another clock.
    pub(crate) async fn writer_by(&self, clock: impl Clock) -> Result<Opened, Failure> {
        self.check()?;
        Ok(match self {
            Self::Folder(dir) => Opened::Embedded(factum_embedded::Options::default().clock(clock).open(dir)?),
            Self::Postgres { url, log } => {
                Opened::Postgres(factum_postgres::Options::default().log(log).clock(clock).open(url).await?)
            }
        })
    }

    /// Opens the store to read it, beside writers where there are some.
    pub(crate) async fn reader(&self) -> Result<Opened, Failure> {
        self.check()?;
        let opened = match self {
            Self::Folder(dir) => factum_embedded::open_read_only(dir).map(Opened::Embedded),
            Self::Postgres { url, log } => {
                factum_postgres::Options::default().log(log).migrate(false).open(url).await.map(Opened::Postgres)
            }
        };
        opened.map_err(|error| self.missing(error))
    }

    /// Refuses a file in place of a folder.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self {
            Self::Folder(dir) if dir.is_file() => {
                Err(Failure::failed(format!("{} is a file: name a store's folder with --dir", dir.display())))
            }
            _ => Ok(()),
        }
    }

    /// A failure of a reader, in words for its user.
    pub(crate) fn missing(&self, error: StoreError) -> Failure {
        if error.kind() != StoreErrorKind::NotFound {
            return error.into();
        }
        let (missing, named, how) = match self {
            Self::Folder(dir) => {
                let dir = dir.display();
                let missing = Failure::not_found(format!("there is no store in {dir}"));
                (missing, "the store's folder with --dir", format!("--dir {dir}"))
            }
            // It may be the log, the schema or the database.
            Self::Postgres { log, .. } => (error.into(), "another one with --log", format!("--store URL --log {log}")),
        };
        missing
            .hint(format!("name {named}, or create it with a first event: factum {how} append STREAM --type TYPE --data '{{}}'"))
    }
}

impl Opened {
    /// The store.
    pub(crate) fn store(&self) -> AnyStore {
        match self {
            Self::Embedded(store) => AnyStore::new(store.clone()),
            Self::Postgres(store) => AnyStore::new(store.clone()),
        }
    }

    /// The marks of consumers.
    pub(crate) async fn consumers(&self) -> Result<Vec<(ConsumerName, Position)>, Failure> {
        Ok(match self {
            Self::Embedded(store) => store.consumers()?,
            Self::Postgres(store) => store.consumers().await?,
        })
    }

    /// Closes it when what was appended is recorded.
    pub(crate) async fn close(self) {
        match self {
            Self::Embedded(store) => store.close(),
            Self::Postgres(store) => store.close().await,
        }
    }
}

pub(crate) fn is_url(place: &str) -> bool {
    place.starts_with("postgres://") || place.starts_with("postgresql://")
}

/// Where a log of a folder is. Its name must not lead out of there.
pub(crate) fn folder(dir: &Path, log: Option<&str>) -> Result<PathBuf, Failure> {
    match log {
        None | Some(DEFAULT_LOG) => Ok(dir.to_owned()),
        Some(log) => {
            factum_postgres::check_log_name(log)?;
            Ok(dir.join(LOGS).join(log))
        }
    }
}
