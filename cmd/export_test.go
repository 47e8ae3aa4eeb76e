package cmd

import "context"

// StartTidy is what serve does with tidy.
func StartTidy(ctx context.Context) (stop func()) { return background(ctx, tidy) }
