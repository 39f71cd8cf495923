//! Routes `n` queries to `m` models under shared limits, with a proof.
//!
//! ```text
//! maximise  sum_ij objective_ij x_ij        x_ij in {0, 1},  sum_j x_ij = 1 for every query i
//! such that sum_ij usage^k_ij x_ij <= limit_k               for every limit k (or >=)
//! ```
//!
//! A limit adds up over everything (a budget), over a model (a capacity) or over a group of queries (a tenant). For prices
//! `p >= 0` of the limits, the Lagrangian dual `q(p) = sum_i max_j (objective_ij - p . usage_ij) + p . limit` is a bound on
//! every plan; its best prices make a plan that is nearly or exactly best. The flow: [`oracle`](DualOracle) (rows seen
//! only through sums) → relax (multipliers, bound) → plan (search and proof) → [`Solution`].
//!
//! ```
//! use omnirouter_solver::{solve_problem, Input, Matrix, Problem, Sense, Settings, Status, Unwatched};
//!
//! let acc = [0.9, 0.6, 0.8, 0.7];
//! let problem = Problem {
//!     n_queries: 2,
//!     n_models: 2,
//!     inputs: vec![Input { name: "acc".into(), data: Matrix::F64(&acc), nonnegative: false, at_most: f64::INFINITY }],
//!     objective: 0,
//!     sense: Sense::Maximise,
//!     resources: vec![],
//!     allowed: None,
//! };
//! let solution = solve_problem(&problem, &Settings::default(), None, &Unwatched).unwrap();
//! assert_eq!(solution.status, Status::Optimal);
//! assert_eq!(solution.assignment, Some(vec![0, 0]));
//! ```

mod approach;
mod ascent;
mod basis;
mod branching;
mod calendar;
mod chains;
mod chunked;
mod columns;
mod curve;
mod cuts;
mod dense;
mod diagnose;
mod eased;
mod error;
mod facts;
mod fixing;
mod grid;
mod jump;
mod kernel;
mod knapsack;
mod ladder;
mod lanes;
mod line_search;
mod many;
mod narrow;
mod nearing;
mod newton;
mod oracle;
mod owned;
mod part;
mod pass;
mod path;
mod plan;
mod point;
mod pool;
mod presolve;
mod problem;
mod quadratic;
mod ranges;
mod reach;
mod relax;
mod repair;
mod rows;
mod sample;
mod search;
mod searched;
mod settings;
mod sharded;
mod smooth;
mod solution;
mod solve;
mod source;
mod space;
mod sums;
mod watch;

pub use chunked::{Chunked, ChunkedOracle, Described};
pub use curve::{curve, curve_plan, Curve, CurvePoint, Wanted};
pub use dense::DenseOracle;
pub use error::InputError;
pub use facts::Facts;
pub use grid::GridSum;
pub use oracle::{DualOracle, DualPoint, Goal, Interrupted, Prices, Progress, Screen, Tally, Watch};
pub use owned::OwnedProblem;
pub use part::{Kept, Part};
pub use pass::{PlanSums, Point};
pub use problem::{
    Input, LimitId, Limits, Magnitudes, Matrix, Problem, Relation, Resource, Scope, Sense, Usage, LARGEST, SMALLEST,
};
pub use ranges::price_ranges;
pub use rows::Rows;
pub use settings::Settings;
pub use sharded::{Local, Parts, ShardedOracle};
pub use solution::{relative_gap, Certificate, Conflict, Info, Solution, Status};
pub use solve::solve;
pub use source::{Chunk, Failure, Source};
pub use sums::OrderedSum;
pub use watch::{solve_problem, solve_shards, solve_source, Unwatched};
