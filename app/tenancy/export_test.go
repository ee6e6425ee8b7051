package tenancy

// ScramVerifier is exported for tests.
var ScramVerifier = scramVerifier
