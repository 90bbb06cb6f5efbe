//! Streams in memory for tests.

use std::io::Cursor;

use crate::cli::ui::Ui;

pub(crate) struct TestUi {
    out: Vec<u8>,
    err: Vec<u8>,
    input: Vec<u8>,
}

impl TestUi {
    pub(crate) fn with_input(input: &str) -> Self {
        Self {
            out: Vec::new(),
            err: Vec::new(),
            input: input.as_bytes().to_vec(),
        }
    }

    pub(crate) fn ui(&mut self) -> Ui<'_> {
        Ui {
            out: Box::new(&mut self.out),
            err: Box::new(&mut self.err),
            input: Box::new(Cursor::new(self.input.as_slice())),
            out_is_terminal: false,
        }
    }

    pub(crate) fn out(&self) -> String {
        String::from_utf8(self.out.clone()).unwrap()
    }

    pub(crate) fn err(&self) -> String {
        String::from_utf8(self.err.clone()).unwrap()
    }
}
