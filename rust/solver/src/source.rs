//! Rows that are read again and again, chunk by chunk: a thread reads the next chunk while a pass works on this one.

use std::sync::mpsc::{channel, sync_channel, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::Duration;

use crate::error::InputError;
use crate::oracle::{Interrupted, Watch};
use crate::part::PAIRS_PER_POLL;
use crate::pool::Pool;
use crate::problem::{Matrix, Problem, Scope, Usage};
use crate::sample::mix;

/// Time between two looks at the watch while waiting for a chunk.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Rows that can be read from the start any number of times; each reading gives the same chunks.
pub trait Source: Send + 'static {
    /// What a reading gives.
    type Chunk: Chunk<Error = Self::Error>;
    /// What can go wrong.
    type Error: Send + 'static;
    /// Goes back to the first chunk.
    fn rewind(&mut self) -> Result<(), Self::Error>;
    /// The next chunk; `None` after the last.
    fn next_chunk(&mut self) -> Result<Option<Self::Chunk>, Self::Error>;
    /// Whether chunks could differ from one reading to the next, so that they have to be compared.
    fn may_change(&self) -> bool {
        true
    }
}

/// Some consecutive rows of a problem.
pub trait Chunk: Send + 'static {
    /// What can go wrong.
    type Error;
    /// Lends the rows, as a problem with the limits of all.
    fn lend(&self, visit: &mut (dyn FnMut(&Problem<'_>) + Send)) -> Result<(), Self::Error>;
}

/// Why reading ended early.
#[derive(Debug)]
pub enum Failure<E> {
    /// Bad numbers.
    Input(InputError),
    /// The source failed.
    Source(E),
    /// This chunk, counted from 0, is not what it was in the first reading.
    Changed(usize),
    /// The thread that reads has died.
    Lost,
    /// Somebody asked to stop.
    Interrupted(Interrupted),
}

/// Gets some rows of a chunk and the position of the first among all.
pub(crate) type VisitRows<'v> = dyn FnMut(&Problem<'_>, usize) -> Result<(), InputError> + Send + 'v;

type Read<S> = Result<Option<<S as Source>::Chunk>, <S as Source>::Error>;

/// Readings of a source, each compared with the first.
pub(crate) struct Readings<S: Source> {
    orders: Sender<SyncSender<Read<S>>>,
    pub(crate) pool: Pool,
    compares: bool,
    /// Rows and checksum of each chunk.
    seen: Vec<(usize, u64)>,
    /// Readings from the first chunk to the last.
    pub(crate) complete: usize,
}

impl<S: Source> Readings<S> {
    pub(crate) fn new(mut source: S, pool: Pool) -> Self {
        let (orders, taken) = channel::<SyncSender<Read<S>>>();
        let compares = source.may_change();
        // Not waited for at the end: it may sit in the code of a source that takes its time.
        std::thread::spawn(move || taken.iter().for_each(|to| read(&mut source, &to)));
        Self { orders, pool, compares, seen: Vec::new(), complete: 0 }
    }

    /// Reads all rows once, in order.
    pub(crate) fn read(&mut self, watch: &dyn Watch, visit: &mut VisitRows<'_>) -> Result<(), Failure<S::Error>> {
        // Without room in the channel, the reader is one chunk ahead and no more.
        let (to, chunks) = sync_channel(0);
        self.orders.send(to).map_err(|_| Failure::Lost)?;
        let (mut first, mut at) = (0, 0);
        while let Some(chunk) = next(&chunks, watch)? {
            let (n, m) = self.check(&chunk, at)?;
            let size = (PAIRS_PER_POLL / m.max(1)).max(1);
            for from in (0..n).step_by(size) {
                watch.poll().map_err(Failure::Interrupted)?;
                let piece = from..n.min(from + size);
                let mut visited = Ok(());
                let lent = chunk.lend(&mut |problem| visited = visit(&problem.rows(piece.clone()), first + from));
                lent.map_err(Failure::Source)?;
                visited.map_err(Failure::Input)?;
            }
            first += n;
            at += 1;
        }
        if at != self.seen.len() {
            return Err(Failure::Changed(at));
        }
        self.complete += 1;
        Ok(())
    }

    /// Refuses a chunk with arrays of wrong lengths, or that was another one before; its numbers of queries and models.
    fn check(&mut self, chunk: &S::Chunk, at: usize) -> Result<(usize, usize), Failure<S::Error>> {
        let (pool, compares, mut checked) = (&self.pool, self.compares, Ok((0, 0, 0)));
        chunk
            .lend(&mut |problem| {
                checked = problem.check_lengths().map(|()| {
                    let (n, m) = (problem.n_queries, problem.n_models);
                    let blocks =
                        if compares { pool.blocks(0..n, m, |rows| checksum(problem, rows)) } else { Vec::new() };
                    (n, m, blocks.into_iter().fold(0, u64::wrapping_add))
                });
            })
            .map_err(Failure::Source)?;
        let (n, m, sum) = checked.map_err(Failure::Input)?;
        if self.complete == 0 {
            self.seen.push((n, sum));
        } else if self.seen.get(at) != Some(&(n, sum)) {
            return Err(Failure::Changed(at));
        }
        Ok((n, m))
    }
}

/// One reading, on the reader's thread; ends early where nobody listens any more.
fn read<S: Source>(source: &mut S, to: &SyncSender<Read<S>>) {
    if let Err(error) = source.rewind() {
        let _ = to.send(Err(error));
        return;
    }
    loop {
        let next = source.next_chunk();
        let last = !matches!(next, Ok(Some(_)));
        if to.send(next).is_err() || last {
            return;
        }
    }
}

/// Waits for the next chunk.
fn next<C, E>(chunks: &Receiver<Result<Option<C>, E>>, watch: &dyn Watch) -> Result<Option<C>, Failure<E>> {
    loop {
        match chunks.recv_timeout(LOOK_EVERY) {
            Ok(chunk) => return chunk.map_err(Failure::Source),
            Err(RecvTimeoutError::Timeout) => watch.poll().map_err(Failure::Interrupted)?,
            Err(RecvTimeoutError::Disconnected) => return Err(Failure::Lost),
        }
    }
}

/// A number that changes when some of the rows' numbers do: their bits, weighted by their positions.
fn checksum(problem: &Problem<'_>, rows: std::ops::Range<usize>) -> u64 {
    let m = problem.n_models;
    let pairs = rows.start * m..rows.end * m;
    let mut sums = Vec::new();
    for input in &problem.inputs {
        sums.push(match input.data.slice(pairs.clone()) {
            Matrix::F32(data) => weighted(data, pairs.start, |x| u64::from(x.to_bits())),
            Matrix::F64(data) => weighted(data, pairs.start, |x| x.to_bits()),
        });
    }
    for resource in &problem.resources {
        if let Usage::PerQuery(values) = resource.usage {
            sums.push(weighted(&values[rows.clone()], rows.start, |x| x.to_bits()));
        }
        if let Scope::Group(groups) = resource.scope {
            sums.push(weighted(&groups[rows.clone()], rows.start, u64::from));
        }
    }
    if let Some(allowed) = problem.allowed {
        sums.push(weighted(&allowed[pairs.clone()], pairs.start, u64::from));
    }
    sums.iter().enumerate().fold(0, |all, (at, sum)| all.wrapping_add(sum.wrapping_mul(mix(at as u64) | 1)))
}

fn weighted<T: Copy>(values: &[T], first: usize, bits: impl Fn(T) -> u64) -> u64 {
    let weight = |at: usize| 2 * (first + at) as u64 + 1;
    values.iter().enumerate().fold(0, |sum, (at, &x)| sum.wrapping_add(bits(x).wrapping_mul(weight(at))))
}
