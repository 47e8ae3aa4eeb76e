package bench

import (
	"fmt"
	"math"
	"strings"
)

// A plot's size and the room around what it shows, in units of its view box.
const (
	plotWidth, plotHeight = 640.0, 300.0
	plotLeft, plotRight   = 70.0, 15.0
	plotTop, plotBottom   = 10.0, 45.0
)

// A plot is lines in one pair of axes, ready to be drawn.
type plot struct {
	Title, Unit, Along string // of the y and of the x axis
	Lines              []line
	XTicks, YTicks     []tick
}

// A line is drawn in the style of its name.
type line struct {
	Name   string
	Points string // of an SVG polyline
}

// A tick is a labelled place on an axis.
type tick struct {
	At    float64
	Label string
}

// data is what a line shows. Its x and y are not negative.
type data struct {
	name string
	x, y []float64
}

// newPlot scales the data to the axes, which begin at 0. The places on the x axis
// are given, or found where there are none.
func newPlot(title, unit, along string, lines []data, xTicks []tick) plot {
	var maxX, maxY float64
	for _, l := range lines {
		for i := range l.x {
			maxX, maxY = max(maxX, l.x[i]), max(maxY, l.y[i])
		}
	}
	maxX, maxY = notZero(maxX), notZero(maxY)
	x := func(v float64) float64 { return plotLeft + v/maxX*(plotWidth-plotLeft-plotRight) }
	y := func(v float64) float64 {
		return plotHeight - plotBottom - v/maxY*(plotHeight-plotTop-plotBottom)
	}
	p := plot{Title: title, Unit: unit, Along: along, YTicks: place(ticks(maxY), y, maxY)}
	if xTicks == nil {
		xTicks = ticks(maxX)
	}
	p.XTicks = place(xTicks, x, maxX)
	for _, l := range lines {
		p.Lines = append(p.Lines, line{l.name, polyline(l, x, y)})
	}
	return p
}

func notZero(v float64) float64 {
	if v == 0 {
		return 1
	}
	return v
}

func polyline(l data, x, y func(float64) float64) string {
	var b strings.Builder
	for i := range l.x {
		fmt.Fprintf(&b, "%.1f,%.1f ", x(l.x[i]), y(l.y[i]))
	}
	return strings.TrimSpace(b.String())
}

// place scales those ticks that lie within the axis.
func place(ticks []tick, scale func(float64) float64, limit float64) (placed []tick) {
	for _, t := range ticks {
		if t.At <= limit {
			placed = append(placed, tick{math.Round(scale(t.At)*10) / 10, t.Label})
		}
	}
	return placed
}

// ticks returns round numbers from 0 to limit, about five.
func ticks(limit float64) (found []tick) {
	step := math.Pow(10, math.Floor(math.Log10(limit/2)))
	for _, factor := range []float64{1, 2, 5} {
		if limit/(step*factor) <= 6 {
			step *= factor
			break
		}
	}
	for i := 0.0; i*step <= limit; i++ {
		found = append(found, tick{i * step, short(i * step)})
	}
	return found
}

// short writes a number in a few characters.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.3gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.3gk", v/1e3)
	}
	return fmt.Sprintf("%.3g", v)
}
