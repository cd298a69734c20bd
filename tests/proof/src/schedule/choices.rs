//! The tree of choices, explored depth-first.

/// One way through the tree at a time.
#[derive(Debug, Default)]
pub struct Choices {
    forks: Vec<Fork>,
    /// How many forks of this way have been passed.
    passed: usize,
    strayed: bool,
}

#[derive(Debug)]
struct Fork {
    options: Vec<usize>,
    taken: usize,
}

impl Choices {
    /// Chooses one of several: what was chosen here the last time, until all below it is explored.
    /// Those before it are explored already.
    ///
    /// # Panics
    ///
    /// When there is nothing to choose from.
    pub fn choose<'a>(&mut self, options: &'a [usize]) -> (usize, &'a [usize]) {
        let chosen = self.place_of_choice(options);
        (options[chosen], &options[..chosen])
    }

    fn place_of_choice(&mut self, options: &[usize]) -> usize {
        if options.len() == 1 {
            return 0;
        }
        let fork = self.passed;
        self.passed += 1;
        if let Some(known) = self.forks.get(fork) {
            if known.options == options {
                return known.taken;
            }
            // The engine has decided something otherwise than the last time.
            self.strayed = true;
            let wanted = known.options[known.taken];
            return options.iter().position(|option| *option == wanted).unwrap_or(0);
        }
        // Who has strayed is on no known way, and learns nothing about the tree.
        if !self.strayed {
            self.forks.push(Fork { options: options.to_vec(), taken: 0 });
        }
        0
    }

    /// Goes back to the start, to take the same way again.
    pub fn restart(&mut self) {
        self.passed = 0;
        self.strayed = false;
    }

    /// Goes back to the start, to take the next way; `false` if there is none.
    pub fn next_way(&mut self) -> bool {
        self.restart();
        while let Some(fork) = self.forks.last_mut() {
            fork.taken += 1;
            if fork.taken < fork.options.len() {
                return true;
            }
            self.forks.pop();
        }
        false
    }

    /// Whether this way could not be taken as it was chosen.
    #[must_use]
    pub fn has_strayed(&self) -> bool {
        self.strayed
    }
}
