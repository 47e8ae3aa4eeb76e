package access

// Review says whether a Caller that was let into a channel, maybe by another Policy, may go on
// hearing it. That its credential has expired is not looked at: until its connections are
// closed, its callers hear on.
func (p *Policy) Review(c *Caller, channel string) Decision {
	if p.open {
		return Decision{Action: Subscribe, Reason: EverythingIsOpen}
	}
	return p.decide(c, Subscribe, channel)
}
