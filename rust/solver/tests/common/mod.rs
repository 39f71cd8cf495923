//! Instances and an independent judge for the tests: everything is recomputed here, nothing is shared with the solver.

#![allow(dead_code, missing_docs)]

use omnirouter_solver::{
    solve_problem, Input, Matrix, Problem, Relation, Resource, Scope, Sense, Settings, Solution, Status, Unwatched,
    Usage,
};

/// A small generator of numbers (xorshift64*), so that instances depend on the seed alone.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }

    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Owned data of an instance.
#[derive(Debug, Clone)]
pub struct Instance {
    pub n: usize,
    pub m: usize,
    pub acc: Vec<f64>,
    pub cost: Vec<f64>,
    pub caps: Option<Vec<f64>>,
    pub budget: Option<f64>,
    pub min_accuracy_sum: Option<f64>,
    pub groups: Option<(Vec<u32>, Vec<f64>)>,
    pub tokens: Option<(Vec<f64>, Vec<f64>)>,
    /// Tokens of each pair, and at most so many per model.
    pub pair_tokens: Option<(Vec<f64>, Vec<f64>)>,
    /// At least so many queries per model.
    pub reserved: Option<Vec<f64>>,
    /// At least so much accuracy per tenant of `groups`.
    pub group_floors: Option<Vec<f64>>,
    pub allowed: Option<Vec<bool>>,
    pub minimise_cost: bool,
}

impl Instance {
    pub fn problem(&self) -> Problem<'_> {
        let mut resources = Vec::new();
        let mut add = |name: &str, usage, scope, relation, limits| {
            resources.push(Resource { name: name.into(), usage, scope, relation, limits });
        };
        if let Some(budget) = self.budget {
            add("budget", Usage::Dense(1), Scope::All, Relation::AtMost, vec![budget]);
        }
        if let Some(floor) = self.min_accuracy_sum {
            add("min_accuracy", Usage::Dense(0), Scope::All, Relation::AtLeast, vec![floor]);
        }
        if let Some(caps) = &self.caps {
            add("caps", Usage::One(1.0), Scope::Model, Relation::AtMost, caps.clone());
        }
        if let Some((groups, limits)) = &self.groups {
            add("tenant", Usage::Dense(1), Scope::Group(groups), Relation::AtMost, limits.clone());
        }
        if let Some((tokens, limits)) = &self.tokens {
            add("tokens", Usage::PerQuery(tokens), Scope::Model, Relation::AtMost, limits.clone());
        }
        if let Some((_, limits)) = &self.pair_tokens {
            add("pair_tokens", Usage::Dense(2), Scope::Model, Relation::AtMost, limits.clone());
        }
        if let Some(limits) = &self.reserved {
            add("reserved", Usage::One(1.0), Scope::Model, Relation::AtLeast, limits.clone());
        }
        if let (Some((groups, _)), Some(limits)) = (&self.groups, &self.group_floors) {
            add("tenant_floor", Usage::Dense(0), Scope::Group(groups), Relation::AtLeast, limits.clone());
        }
        let input = |name: &str, data, nonnegative| Input {
            name: name.into(),
            data: Matrix::F64(data),
            nonnegative,
            at_most: f64::INFINITY,
        };
        let mut inputs = vec![input("acc", &self.acc, false), input("cost", &self.cost, true)];
        inputs.extend(self.pair_tokens.iter().map(|(tokens, _)| input("tokens", tokens, true)));
        Problem {
            n_queries: self.n,
            n_models: self.m,
            inputs,
            objective: usize::from(self.minimise_cost),
            sense: if self.minimise_cost { Sense::Minimise } else { Sense::Maximise },
            resources,
            allowed: self.allowed.as_deref(),
        }
    }

    pub fn solve(&self, settings: &Settings) -> Solution {
        solve_problem(&self.problem(), settings, None, &Unwatched).expect("valid input")
    }

    pub fn objective(&self, plan: &[usize]) -> f64 {
        let data = if self.minimise_cost { &self.cost } else { &self.acc };
        plan.iter().enumerate().map(|(i, &j)| data[i * self.m + j]).sum()
    }

    /// Whether a plan meets every limit; `slack` relative to the limit.
    pub fn feasible(&self, plan: &[usize], slack: f64) -> bool {
        let at_most = |sum: f64, limit: f64| sum <= limit + slack * (1.0 + limit.abs());
        let spend = |keep: &dyn Fn(usize) -> bool| -> f64 {
            plan.iter().enumerate().filter(|(i, _)| keep(*i)).map(|(i, &j)| self.cost[i * self.m + j]).sum()
        };
        let budget = self.budget.is_none_or(|limit| at_most(spend(&|_| true), limit));
        let accuracy: f64 = plan.iter().enumerate().map(|(i, &j)| self.acc[i * self.m + j]).sum();
        let floor = self.min_accuracy_sum.is_none_or(|limit| at_most(-accuracy, -limit));
        let caps = self
            .caps
            .as_ref()
            .is_none_or(|caps| (0..self.m).all(|j| at_most(plan.iter().filter(|&&x| x == j).count() as f64, caps[j])));
        let groups = self.groups.as_ref().is_none_or(|(groups, limits)| {
            limits.iter().enumerate().all(|(g, &limit)| at_most(spend(&|i| groups[i] as usize == g), limit))
        });
        let tokens = self.tokens.as_ref().is_none_or(|(tokens, limits)| {
            let used = |j| plan.iter().zip(tokens).filter(|(&x, _)| x == j).map(|(_, t)| t).sum::<f64>();
            (0..self.m).all(|j| at_most(used(j), limits[j]))
        });
        let pair_tokens = self.pair_tokens.as_ref().is_none_or(|(tokens, limits)| {
            let used = |j: usize| {
                plan.iter().enumerate().filter(|(_, &x)| x == j).map(|(i, _)| tokens[i * self.m + j]).sum::<f64>()
            };
            (0..self.m).all(|j| at_most(used(j), limits[j]))
        });
        let reserved = self.reserved.as_ref().is_none_or(|least| {
            (0..self.m).all(|j| at_most(-(plan.iter().filter(|&&x| x == j).count() as f64), -least[j]))
        });
        let group_floors = self.groups.as_ref().zip(self.group_floors.as_ref()).is_none_or(|((groups, _), least)| {
            let reached = |g: usize| {
                let own = plan.iter().enumerate().filter(|(i, _)| groups[*i] as usize == g);
                own.map(|(i, &j)| self.acc[i * self.m + j]).sum::<f64>()
            };
            (0..least.len()).all(|g| at_most(-reached(g), -least[g]))
        });
        let further = pair_tokens && reserved && group_floors;
        let allowed = self.allowed.as_ref();
        let open = allowed.is_none_or(|a| plan.iter().enumerate().all(|(i, &j)| a[i * self.m + j]));
        budget && floor && caps && groups && tokens && further && open
    }

    /// The best objective over all plans, by trying every one; limits are moved by `slack` (relative).
    pub fn brute_force(&self, slack: f64) -> Option<f64> {
        let mut plan = vec![0; self.n];
        let mut best: Option<f64> = None;
        loop {
            if self.feasible(&plan, slack) {
                let value = self.objective(&plan);
                let better = best.is_none_or(|b| if self.minimise_cost { value < b } else { value > b });
                if better {
                    best = Some(value);
                }
            }
            let Some(i) = (0..self.n).find(|&i| plan[i] + 1 < self.m) else { return best };
            plan[i] += 1;
            plan[..i].fill(0);
        }
    }

    /// Checks every claim of a solution that nobody stopped against the instance.
    pub fn check(&self, solution: &Solution) {
        self.check_plan(solution);
        assert_eq!(solution.certificate.is_some(), solution.status == Status::Infeasible);
        assert!(solution.duals.iter().all(|price| *price >= 0.0 && price.is_finite()));
        assert_ne!(solution.status, Status::Stopped);
    }

    /// Checks the plan of a solution, and that its bound is on the right side.
    pub fn check_plan(&self, solution: &Solution) {
        if let Some(assignment) = &solution.assignment {
            let plan: Vec<usize> = assignment.iter().map(|&j| j as usize).collect();
            assert!(self.feasible(&plan, 1e-14), "a limit is broken: {self:?} {solution:?}");
            let value = self.objective(&plan);
            assert!((value - solution.objective).abs() <= 1e-12 * (1.0 + value.abs()), "{value} {solution:?}");
            let side = if self.minimise_cost { 1.0 } else { -1.0 };
            assert!(side * solution.bound <= side * solution.objective, "bound on the wrong side: {solution:?}");
        } else {
            assert!(solution.objective.is_nan() && solution.gap.is_infinite());
        }
    }
}

/// A batch on a ladder of price and quality, with a budget that binds and uneven caps, sorted by difficulty where asked.
pub fn ladder(n: usize, m: usize, seed: u64, sorted: bool) -> Instance {
    let mut random = Random::new(seed);
    let mut difficulty: Vec<f64> = (0..n).map(|_| random.unit()).collect();
    if sorted {
        difficulty.sort_by(f64::total_cmp);
    }
    let (mut acc, mut cost) = (Vec::with_capacity(n * m), Vec::with_capacity(n * m));
    for difficulty in difficulty {
        for j in 0..m {
            let skill = j as f64 / m as f64;
            let quality = 0.4 + 0.5 * skill + 0.5 * random.unit() - 0.5 * difficulty;
            acc.push((quality.clamp(0.0, 1.0) * 16.0).round() / 16.0);
            cost.push((4.0 * skill).exp() * (0.5 + random.unit() + difficulty));
        }
    }
    let cheapest: f64 = cost.chunks(m).map(|row| row.iter().copied().fold(f64::INFINITY, f64::min)).sum();
    let share = |j: usize| (n as f64 * (0.5 + j as f64) * 3.0 / (m * m) as f64).ceil();
    Instance {
        n,
        m,
        acc,
        cost,
        caps: Some((0..m).map(share).collect()),
        budget: Some(12.0 * cheapest),
        min_accuracy_sum: None,
        groups: None,
        tokens: None,
        pair_tokens: None,
        reserved: None,
        group_floors: None,
        allowed: None,
        minimise_cost: false,
    }
}

/// A tiny instance with a random mix of limits; data from a coarse grid where `grid` is set, so that ties abound.
pub fn tiny(seed: u64) -> Instance {
    let mut random = Random::new(seed);
    let grid = random.below(4);
    // What is left of coarse numbers once rows are decided may be coarser still; that takes a few more rows.
    let (n, m) =
        if grid == 3 { (3 + random.below(6), 2 + random.below(2)) } else { (1 + random.below(6), 1 + random.below(4)) };
    let mut number = |levels: usize| match grid {
        0 => random.unit(),
        1 => random.below(levels) as f64 / 16.0,
        2 => random.below(3) as f64 / 3.0,
        _ if levels == 17 => [0.0, 0.25, 0.5, 1.0][random.below(4)],
        _ => [1.0, 2.0, 4.0, 8.0, 9.0, 16.0][random.below(6)],
    };
    let acc: Vec<f64> = (0..n * m).map(|_| number(17)).collect();
    let cost: Vec<f64> = (0..n * m).map(|_| number(9)).collect();
    let plan: Vec<usize> = (0..n).map(|_| random.below(m)).collect();
    let mut instance = Instance {
        n,
        m,
        acc,
        cost,
        caps: None,
        budget: None,
        min_accuracy_sum: None,
        groups: None,
        tokens: None,
        pair_tokens: None,
        reserved: None,
        group_floors: None,
        allowed: None,
        minimise_cost: random.below(2) == 0,
    };
    // Limits near what a random plan uses: some loose, some tight, some impossible.
    let factor = [0.7, 0.9, 1.0, 1.2][random.below(4)];
    let spend: f64 = plan.iter().enumerate().map(|(i, &j)| instance.cost[i * m + j]).sum();
    let accuracy: f64 = plan.iter().enumerate().map(|(i, &j)| instance.acc[i * m + j]).sum();
    if random.below(2) == 0 {
        instance.budget = Some(spend * factor);
    }
    if random.below(3) == 0 {
        instance.min_accuracy_sum = Some(accuracy * factor);
    }
    if random.below(2) == 0 {
        let extra = random.below(2);
        let mut caps: Vec<f64> = (0..m).map(|j| plan.iter().filter(|&&x| x == j).count() as f64).collect();
        caps[random.below(m)] += extra as f64;
        instance.caps = Some(caps);
    }
    if random.below(4) == 0 {
        let groups: Vec<u32> = (0..n).map(|_| random.below(2) as u32).collect();
        let limits = (0..2).map(|_| spend * factor * 0.6).collect();
        instance.groups = Some((groups, limits));
    }
    if random.below(4) == 0 {
        let tokens: Vec<f64> = (0..n).map(|_| 1.0 + random.below(5) as f64).collect();
        let limits = (0..m).map(|_| 2.0 + random.below(3 * n) as f64).collect();
        instance.tokens = Some((tokens, limits));
    }
    if random.below(4) == 0 {
        instance.allowed = Some((0..n * m).map(|_| random.below(5) > 0).collect());
    }
    if random.below(4) == 0 {
        let tokens: Vec<f64> =
            (0..n * m).map(|_| [random.unit(), 1.0 + random.below(4) as f64][random.below(2)]).collect();
        let used = |j| plan.iter().enumerate().filter(|(_, &x)| x == j).map(|(i, _)| tokens[i * m + j]).sum::<f64>();
        let limits = (0..m).map(|j| used(j) * [1.0, 1.3][random.below(2)]).collect();
        instance.pair_tokens = Some((tokens, limits));
    }
    if random.below(6) == 0 {
        let load = |j| plan.iter().filter(|&&x| x == j).count();
        instance.reserved = Some((0..m).map(|j| (load(j) - load(j).min(random.below(2))) as f64).collect());
    }
    if instance.groups.is_some() && random.below(2) == 0 {
        instance.group_floors = Some(vec![accuracy * factor * 0.4; 2]);
    }
    instance
}

/// A large instance that is sampled: binding budget, caps, tenants and tokens, sorted rows.
pub fn large(seed: u64, n: usize, m: usize) -> Instance {
    let mut random = Random::new(seed);
    let price: Vec<f64> = (0..m).map(|j| 1e-3 * f64::powi(2.0, j as i32)).collect();
    let (mut acc, mut cost) = (Vec::with_capacity(n * m), Vec::with_capacity(n * m));
    for i in 0..n {
        let hard = i as f64 / n as f64;
        acc.extend((0..m).map(|j| ((1.0 - hard) + hard * (j + 1) as f64 / m as f64) * (0.7 + 0.3 * random.unit())));
        cost.extend((0..m).map(|j| price[j] * (0.5 + random.unit())));
    }
    let mean = cost.iter().sum::<f64>() / m as f64;
    let groups: Vec<u32> = (0..n).map(|_| random.below(3) as u32).collect();
    let tokens: Vec<f64> = (0..n).map(|_| 100.0 + random.below(900) as f64).collect();
    let all_tokens: f64 = tokens.iter().sum();
    Instance {
        n,
        m,
        acc,
        cost,
        caps: Some((0..m).map(|j| if j % 2 == 0 { n as f64 } else { (n / m) as f64 }).collect()),
        budget: Some(0.6 * mean),
        min_accuracy_sum: None,
        groups: Some((groups, vec![0.25 * mean, 0.15 * mean, mean])),
        tokens: Some((tokens, vec![0.4 * all_tokens; m])),
        allowed: Some((0..n * m).map(|at| at % m == 0 || random.below(10) > 0).collect()),
        pair_tokens: None,
        reserved: None,
        group_floors: None,
        minimise_cost: false,
    }
}
