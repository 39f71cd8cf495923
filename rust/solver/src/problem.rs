//! The problem: matrices, the objective among them, and resources with limits. All input checks are here.

use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::InputError;
use crate::lanes::{extremes_f32, extremes_f64};

/// Matrices of fewer pairs are read by the calling thread alone: starting threads would cost more.
pub(crate) const SERIAL_PAIRS: usize = 1 << 16;
/// Numbers above this magnitude are refused: sums of 2^32 of them, and their products with prices, stay far inside float64.
pub const LARGEST: f64 = 1e100;
/// A matrix with entries, but none of this magnitude, is refused: below it float64 loses digits.
pub const SMALLEST: f64 = 1e-100;

/// A matrix in C order, borrowed as it came. Arithmetic on it is always float64.
#[derive(Debug, Clone, Copy)]
pub enum Matrix<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Double precision.
    F64(&'a [f64]),
}

impl<'a> Matrix<'a> {
    /// Some of the entries.
    pub fn slice(self, entries: Range<usize>) -> Self {
        match self {
            Self::F32(data) => Self::F32(&data[entries]),
            Self::F64(data) => Self::F64(&data[entries]),
        }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(data) => data.len(),
            Self::F64(data) => data.len(),
        }
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entry at a flat position, in float64.
    #[inline]
    pub fn get(&self, at: usize) -> f64 {
        match self {
            Self::F32(data) => f64::from(data[at]),
            Self::F64(data) => data[at],
        }
    }
}

/// An (n, m) input with the name that errors use.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    /// Name of the argument.
    pub name: String,
    /// The numbers.
    pub data: Matrix<'a>,
    /// Whether entries below zero are refused.
    pub nonnegative: bool,
    /// Entries above this are refused.
    pub at_most: f64,
}

/// What one query on one model uses of a resource.
#[derive(Debug, Clone)]
pub enum Usage<'a> {
    /// The same for every pair.
    One(f64),
    /// One number per model, (m,).
    PerModel(&'a [f64]),
    /// One number per query, (n,).
    PerQuery(&'a [f64]),
    /// One number per pair: the position of an (n, m) matrix in [`Problem::inputs`].
    Dense(usize),
}

impl Usage<'_> {
    /// The largest magnitude of any entry and whether any is below zero, given the same of each input.
    fn extremes(&self, inputs: &[(f64, bool)]) -> (f64, bool) {
        let of = |values: &[f64]| {
            values.iter().fold((0.0, false), |(most, negative), x| (x.abs().max(most), negative | (*x < 0.0)))
        };
        match self {
            Self::One(value) => of(&[*value]),
            Self::PerModel(values) | Self::PerQuery(values) => of(values),
            Self::Dense(input) => inputs[*input],
        }
    }
}

/// Over what each limit of a resource adds up.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// Everything: one limit.
    All,
    /// The queries on one model: m limits.
    Model,
    /// The queries of one group (tenant), given per query: as many limits as there are groups.
    Group(&'a [u32]),
}

/// Which side of the limit is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// usage <= limit
    AtMost,
    /// usage >= limit
    AtLeast,
}

/// A resource: what pairs use of it, and limits on the sums.
#[derive(Debug, Clone)]
pub struct Resource<'a> {
    /// Name in messages and duals.
    pub name: String,
    /// What a pair uses.
    pub usage: Usage<'a>,
    /// Over what the limits add up.
    pub scope: Scope<'a>,
    /// Which side is allowed.
    pub relation: Relation,
    /// One limit per member of the scope; an infinite one on the allowed side is no limit.
    pub limits: Vec<f64>,
}

/// Whether the objective is maximised or minimised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sense {
    /// Most.
    Maximise,
    /// Least.
    Minimise,
}

/// `n` queries, `m` models, an objective matrix, resources, allowed pairs: checked once, then trusted.
#[derive(Debug, Clone)]
pub struct Problem<'a> {
    /// Number of queries.
    pub n_queries: usize,
    /// Number of models.
    pub n_models: usize,
    /// The (n, m) matrices.
    pub inputs: Vec<Input<'a>>,
    /// Which input is optimised.
    pub objective: usize,
    /// In which direction.
    pub sense: Sense,
    /// What is limited.
    pub resources: Vec<Resource<'a>>,
    /// (n, m), C order; false forbids the pair.
    pub allowed: Option<&'a [bool]>,
}

/// What the check of the numbers has seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Magnitudes {
    /// Largest absolute value of each input.
    pub largest: Vec<f64>,
    /// Largest absolute usage of each resource.
    pub usage: Vec<f64>,
    /// Whether any usage of each resource is below zero.
    pub negative: Vec<bool>,
}

/// One finite limit: which resource, and which member of its scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitId {
    /// Position in [`Problem::resources`].
    pub resource: usize,
    /// Model or group; 0 for [`Scope::All`].
    pub member: usize,
}

/// The finite limits of a problem in one list, in the form `usage <= limit`.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The limits, in the order of the multipliers.
    pub ids: Vec<LimitId>,
    /// Right-hand sides of `sign * usage <= value`.
    pub values: Vec<f64>,
    /// +1 for `<=`, -1 for `>=`, per resource.
    pub sign: Vec<f64>,
    /// Per resource and member, the position in `ids`, or `ids.len()` where there is no limit.
    pub position: Vec<Vec<u32>>,
}

impl<'a> Problem<'a> {
    /// Checks shapes and every number, in one parallel read of the matrices. Errors count the queries from `first`.
    pub fn validate(&self, first: usize) -> Result<Magnitudes, InputError> {
        self.check_lengths()?;
        let inputs = self.inputs.iter().map(|input| check_matrix(input, self.n_models, first));
        let inputs: Vec<(f64, bool)> = inputs.collect::<Result<_, _>>()?;
        self.resources.iter().try_for_each(|resource| resource.check(first))?;
        let (usage, negative) = self.resources.iter().map(|resource| resource.usage.extremes(&inputs)).unzip();
        Ok(Magnitudes { largest: inputs.into_iter().map(|(largest, _)| largest).collect(), usage, negative })
    }

    /// Checks that all arrays have the lengths they should.
    pub fn check_lengths(&self) -> Result<(), InputError> {
        let (n, m) = (self.n_queries, self.n_models);
        for input in &self.inputs {
            check_length(&input.name, input.data.len(), n * m, "n_queries * n_models")?;
        }
        if let Some(allowed) = self.allowed {
            check_length("allowed", allowed.len(), n * m, "n_queries * n_models")?;
        }
        for resource in &self.resources {
            let name = &resource.name;
            match resource.usage {
                Usage::PerModel(values) => check_length(&format!("{name}.usage"), values.len(), m, "n_models")?,
                Usage::PerQuery(values) => check_length(&format!("{name}.usage"), values.len(), n, "n_queries")?,
                Usage::One(_) | Usage::Dense(_) => {}
            }
            match resource.scope {
                Scope::All => check_length(name, resource.limits.len(), 1, "one limit")?,
                Scope::Model => check_length(name, resource.limits.len(), m, "n_models")?,
                Scope::Group(groups) => check_length(&format!("{name}.per"), groups.len(), n, "n_queries")?,
            }
        }
        Ok(())
    }

    /// Refuses inputs and usages of which all rows together have nothing but numbers so small that float64 loses digits.
    pub(crate) fn check_smallest(&self, magnitudes: &Magnitudes) -> Result<(), InputError> {
        let inputs = self.inputs.iter().map(|input| input.name.clone()).zip(&magnitudes.largest);
        let usages = self.resources.iter().map(|resource| format!("{}.usage", resource.name)).zip(&magnitudes.usage);
        match inputs.chain(usages).find(|(_, &largest)| largest > 0.0 && largest < SMALLEST) {
            None => Ok(()),
            Some((name, &largest)) => Err(InputError::TooSmall { name, largest, least: SMALLEST }),
        }
    }

    /// The same problem for some of its queries, with the same limits.
    pub fn rows(&self, rows: Range<usize>) -> Self {
        let pairs = rows.start * self.n_models..rows.end * self.n_models;
        let mut part = self.clone();
        part.n_queries = rows.len();
        part.inputs.iter_mut().for_each(|input| input.data = input.data.slice(pairs.clone()));
        for resource in &mut part.resources {
            if let Usage::PerQuery(values) = &mut resource.usage {
                *values = &values[rows.clone()];
            }
            if let Scope::Group(groups) = &mut resource.scope {
                *groups = &groups[rows.clone()];
            }
        }
        part.allowed = part.allowed.map(|allowed| &allowed[pairs]);
        part
    }

    /// The finite limits, numbered.
    pub fn limits(&self) -> Limits {
        let (mut ids, mut values, mut position) = (Vec::new(), Vec::new(), Vec::new());
        let sign: Vec<f64> = self.resources.iter().map(|r| r.relation.sign()).collect();
        for (resource, r) in self.resources.iter().enumerate() {
            for (member, &limit) in r.limits.iter().enumerate() {
                if limit.is_finite() {
                    ids.push(LimitId { resource, member });
                    values.push(sign[resource] * limit);
                }
            }
        }
        let mut next = 0;
        for r in &self.resources {
            let mut number = |limit: &f64| {
                let at = if limit.is_finite() { next } else { ids.len() as u32 };
                next += u32::from(limit.is_finite());
                at
            };
            position.push(r.limits.iter().map(&mut number).collect());
        }
        Limits { ids, values, sign, position }
    }

    /// What query `i` on model `j` uses of a resource.
    #[inline]
    pub fn usage(&self, resource: usize, i: usize, j: usize) -> f64 {
        match self.resources[resource].usage {
            Usage::One(value) => value,
            Usage::PerModel(values) => values[j],
            Usage::PerQuery(values) => values[i],
            Usage::Dense(input) => self.inputs[input].data.get(i * self.n_models + j),
        }
    }

    /// Which member of its scope a pair counts for.
    #[inline]
    pub fn member(&self, resource: usize, i: usize, j: usize) -> usize {
        match self.resources[resource].scope {
            Scope::All => 0,
            Scope::Model => j,
            Scope::Group(groups) => groups[i] as usize,
        }
    }

    /// Whether a pair may be chosen.
    #[inline]
    pub fn allows(&self, i: usize, j: usize) -> bool {
        self.allowed.is_none_or(|allowed| allowed[i * self.n_models + j])
    }
}

impl Resource<'_> {
    /// Checks every number; errors count the queries from `first`.
    fn check(&self, first: usize) -> Result<(), InputError> {
        let name = &self.name;
        let check_usage = |values: &[f64], first: usize| {
            check_entries(&format!("{name}.usage"), values, first, in_range, "a number within ±1e100")
        };
        match self.usage {
            Usage::One(value) => check_usage(&[value], 0)?,
            Usage::PerModel(values) => check_usage(values, 0)?,
            Usage::PerQuery(values) => check_usage(values, first)?,
            Usage::Dense(_) => {}
        }
        if let Scope::Group(groups) = self.scope {
            let n_groups = groups.iter().max().map_or(0, |&last| last as usize + 1);
            if n_groups > self.limits.len() {
                return check_length(name, self.limits.len(), n_groups, "number of groups");
            }
        }
        // On the open side a huge limit is met by whatever is used.
        let sign = self.relation.sign();
        let expected = "a number, from -1e100 for <= or up to 1e100 for >=, or infinity for no limit";
        check_entries(name, &self.limits, 0, |x| sign * x >= -LARGEST, expected)
    }
}

impl Relation {
    /// +1 for `<=`, -1 for `>=`.
    pub fn sign(self) -> f64 {
        match self {
            Self::AtMost => 1.0,
            Self::AtLeast => -1.0,
        }
    }
}

fn in_range(x: f64) -> bool {
    x.abs() <= LARGEST
}

fn check_length(name: &str, got: usize, expected: usize, meaning: &'static str) -> Result<(), InputError> {
    if got == expected {
        return Ok(());
    }
    Err(InputError::Length { name: name.to_owned(), got, expected, meaning })
}

fn check_entries(
    name: &str,
    values: &[f64],
    first: usize,
    good: impl Fn(f64) -> bool,
    expected: &'static str,
) -> Result<(), InputError> {
    match values.iter().position(|&value| !good(value)) {
        None => Ok(()),
        Some(at) => Err(InputError::Entry { name: name.to_owned(), index: first + at, value: values[at], expected }),
    }
}

/// Refuses what is out of range or, where asked, below zero; otherwise the largest magnitude, and whether anything is negative.
fn check_matrix(input: &Input<'_>, n_models: usize, first: usize) -> Result<(f64, bool), InputError> {
    let (largest, negative) = match input.data {
        Matrix::F32(data) => extremes(data, |piece| {
            let (mut most, mut negative) = (0, 0);
            extremes_f32::run(piece, &mut most, &mut negative);
            (f64::from(f32::from_bits(most)), negative > 0)
        }),
        Matrix::F64(data) => extremes(data, |piece| {
            let (mut most, mut negative) = (0, 0);
            extremes_f64::run(piece, &mut most, &mut negative);
            (f64::from_bits(most), negative > 0)
        }),
    };
    let most = input.at_most.min(LARGEST);
    if largest <= most && !(negative && input.nonnegative) {
        return Ok((largest, negative));
    }
    let bad = |x: f64| !in_range(x) || (input.nonnegative && x < 0.0) || x > most;
    let at = (0..input.data.len()).find(|&at| bad(input.data.get(at))).unwrap_or(0);
    let (name, value) = (input.name.clone(), input.data.get(at));
    let (query, model) = (first + at / n_models, at % n_models);
    if !value.is_finite() {
        Err(InputError::NotFinite { name, query, model, value })
    } else if value > input.at_most {
        Err(InputError::TooLarge { name, query, model, value, most: input.at_most })
    } else if input.nonnegative && value < 0.0 {
        Err(InputError::Negative { name, query, model, value })
    } else {
        Err(InputError::OutOfRange { name, query, model, value, most: LARGEST })
    }
}

/// Largest magnitude (NaN where there is any) and whether anything is negative, piece by piece in parallel.
fn extremes<T: Sync>(data: &[T], of_piece: impl Fn(&[T]) -> (f64, bool) + Sync + Send) -> (f64, bool) {
    let join = |a: (f64, bool), b: (f64, bool)| (if b.0 > a.0 || b.0.is_nan() { b.0 } else { a.0 }, a.1 | b.1);
    if data.len() <= SERIAL_PAIRS {
        of_piece(data)
    } else {
        data.par_chunks(SERIAL_PAIRS).map(of_piece).reduce(|| (0.0, false), join)
    }
}
