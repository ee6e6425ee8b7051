// Package present is the talk in the browser: slides about multi-tenancy with PostgreSQL, whose claims are experiments that the
// viewer runs.
//
// # Model
//
// A [Chapter] is a slide of the talk, with experiments of package talk below it. All are sections of one page, which is whole without
// a script; reveal.js, where a browser runs scripts and has room, shows one at a time. An experiment is a form: sent, it leads to the page of
// the experiment with its result, or, by script, puts the result into the slide.
//
// The comparison of the strategies is one value, [Matrix], from which docs/strategies.md is made too. The figures in it are from
// docs/benchmarks.json.
//
// # Failures
//
// An experiment that cannot run, as while the server is away, answers 503 with one line; it can be sent again.
package present
