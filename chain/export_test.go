package chain

// VerifyIn is Verify with chunks of a size that makes a small chain have many.
var VerifyIn = verify
