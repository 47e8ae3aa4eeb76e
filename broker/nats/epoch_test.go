package nats_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/nats"
)

// Positions are in the order of numbers, and what is at or behind a position begins with the number that is said.
func TestEpochsAreInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		begins := rapid.SliceOfNDistinct(rapid.Uint64Range(1, 50), 1, 5, rapid.ID[uint64]).Draw(t, "begins")
		for i := range begins {
			for j := i; j > 0 && begins[j] < begins[j-1]; j-- {
				begins[j], begins[j-1] = begins[j-1], begins[j]
			}
		}
		at, from := nats.Epochs(begins...)
		p := broker.Position{Epoch: rapid.Uint64Range(0, 65).Draw(t, "epoch"), Seq: rapid.Uint64Range(0, 60).Draw(t, "seq")}
		for seq := uint64(1); seq < 60; seq++ {
			if seq > 1 && at(seq-1).Compare(at(seq)) >= 0 {
				t.Fatalf("%v comes ahead of %v", at(seq-1), at(seq))
			}
			if behind := seq >= from(p); behind != (at(seq).Compare(p) >= 0) {
				t.Fatalf("%v is at or behind %v: %v, by number %d", at(seq), p, behind, from(p))
			}
		}
	})
}
