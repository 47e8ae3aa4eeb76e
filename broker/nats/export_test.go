package nats

// SubjectOf is subjectOf.
var SubjectOf = subjectOf
