//! Rows that own their numbers: samples gathered from chunks, chunks made by Rust code, and problems without rows.

use crate::problem::{Input, Matrix, Problem, Relation, Resource, Scope, Sense, Usage};
use crate::source::Chunk;

/// A [`Problem`] that owns what it refers to.
#[derive(Debug, Clone)]
pub struct OwnedProblem {
    n_queries: usize,
    n_models: usize,
    inputs: Vec<OwnedInput>,
    objective: usize,
    sense: Sense,
    resources: Vec<OwnedResource>,
    allowed: Option<Vec<bool>>,
}

#[derive(Debug, Clone)]
struct OwnedInput {
    name: String,
    data: OwnedMatrix,
    nonnegative: bool,
    at_most: f64,
}

#[derive(Debug, Clone)]
enum OwnedMatrix {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

#[derive(Debug, Clone)]
struct OwnedResource {
    name: String,
    usage: OwnedUsage,
    scope: OwnedScope,
    relation: Relation,
    limits: Vec<f64>,
}

#[derive(Debug, Clone)]
enum OwnedUsage {
    One(f64),
    PerModel(Vec<f64>),
    PerQuery(Vec<f64>),
    Dense(usize),
}

#[derive(Debug, Clone)]
enum OwnedScope {
    All,
    Model,
    Group(Vec<u32>),
}

impl OwnedProblem {
    /// The same problem without its rows.
    pub fn without_rows(problem: &Problem<'_>) -> Self {
        let input = |input: &Input<'_>| {
            let data = match input.data {
                Matrix::F32(_) => OwnedMatrix::F32(Vec::new()),
                Matrix::F64(_) => OwnedMatrix::F64(Vec::new()),
            };
            OwnedInput { name: input.name.clone(), data, nonnegative: input.nonnegative, at_most: input.at_most }
        };
        let resource = |resource: &Resource<'_>| OwnedResource {
            name: resource.name.clone(),
            usage: match resource.usage {
                Usage::One(usage) => OwnedUsage::One(usage),
                Usage::PerModel(usage) => OwnedUsage::PerModel(usage.to_vec()),
                Usage::PerQuery(_) => OwnedUsage::PerQuery(Vec::new()),
                Usage::Dense(input) => OwnedUsage::Dense(input),
            },
            scope: match resource.scope {
                Scope::All => OwnedScope::All,
                Scope::Model => OwnedScope::Model,
                Scope::Group(_) => OwnedScope::Group(Vec::new()),
            },
            relation: resource.relation,
            limits: resource.limits.clone(),
        };
        Self {
            n_queries: 0,
            n_models: problem.n_models,
            inputs: problem.inputs.iter().map(input).collect(),
            objective: problem.objective,
            sense: problem.sense,
            resources: problem.resources.iter().map(resource).collect(),
            allowed: problem.allowed.map(|_| Vec::new()),
        }
    }

    /// A copy of some rows of a problem.
    pub fn of(problem: &Problem<'_>, rows: std::ops::Range<usize>) -> Self {
        let mut out = Self::without_rows(problem);
        rows.for_each(|row| out.push(problem, row));
        out
    }

    /// Adds a row of a problem of the same kind.
    pub fn push(&mut self, problem: &Problem<'_>, row: usize) {
        let pairs = row * self.n_models..(row + 1) * self.n_models;
        self.n_queries += 1;
        for (own, input) in self.inputs.iter_mut().zip(&problem.inputs) {
            own.data.push(input.data.slice(pairs.clone()));
        }
        for (own, resource) in self.resources.iter_mut().zip(&problem.resources) {
            if let (OwnedUsage::PerQuery(own), Usage::PerQuery(values)) = (&mut own.usage, resource.usage.clone()) {
                own.push(values[row]);
            }
            if let (OwnedScope::Group(own), Scope::Group(groups)) = (&mut own.scope, resource.scope) {
                own.push(groups[row]);
            }
        }
        if let (Some(own), Some(allowed)) = (&mut self.allowed, problem.allowed) {
            own.extend_from_slice(&allowed[pairs]);
        }
    }

    /// The problem, borrowed.
    pub fn view(&self) -> Problem<'_> {
        Problem {
            n_queries: self.n_queries,
            n_models: self.n_models,
            inputs: self.inputs.iter().map(OwnedInput::view).collect(),
            objective: self.objective,
            sense: self.sense,
            resources: self.resources.iter().map(OwnedResource::view).collect(),
            allowed: self.allowed.as_deref(),
        }
    }
}

impl OwnedInput {
    fn view(&self) -> Input<'_> {
        let data = match &self.data {
            OwnedMatrix::F32(data) => Matrix::F32(data),
            OwnedMatrix::F64(data) => Matrix::F64(data),
        };
        Input { name: self.name.clone(), data, nonnegative: self.nonnegative, at_most: self.at_most }
    }
}

impl OwnedMatrix {
    fn push(&mut self, row: Matrix<'_>) {
        match (&mut *self, row) {
            (Self::F32(own), Matrix::F32(row)) => own.extend_from_slice(row),
            (Self::F64(own), Matrix::F64(row)) => own.extend_from_slice(row),
            (Self::F64(own), Matrix::F32(row)) => own.extend(row.iter().map(|&x| f64::from(x))),
            // Chunks of both kinds: double precision holds either.
            (Self::F32(own), Matrix::F64(row)) => {
                *self = Self::F64(own.iter().map(|&x| f64::from(x)).chain(row.iter().copied()).collect());
            }
        }
    }
}

impl OwnedResource {
    fn view(&self) -> Resource<'_> {
        Resource {
            name: self.name.clone(),
            usage: match &self.usage {
                OwnedUsage::One(usage) => Usage::One(*usage),
                OwnedUsage::PerModel(usage) => Usage::PerModel(usage),
                OwnedUsage::PerQuery(usage) => Usage::PerQuery(usage),
                OwnedUsage::Dense(input) => Usage::Dense(*input),
            },
            scope: match &self.scope {
                OwnedScope::All => Scope::All,
                OwnedScope::Model => Scope::Model,
                OwnedScope::Group(groups) => Scope::Group(groups),
            },
            relation: self.relation,
            limits: self.limits.clone(),
        }
    }
}

impl Chunk for OwnedProblem {
    type Error = std::convert::Infallible;

    fn lend(&self, visit: &mut (dyn FnMut(&Problem<'_>) + Send)) -> Result<(), Self::Error> {
        visit(&self.view());
        Ok(())
    }
}
