package server

import (
	"context"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/server/tracing"
)

// traced returns next with a span for each request, where the server makes spans. A transport's
// routes have none: what they answer may last for hours.
func (s *Server) traced(r route, next echo.HandlerFunc) echo.HandlerFunc {
	if s.options.Tracer == nil || r.bare {
		return next
	}
	path := r.path
	if begin, whole := strings.CutSuffix(path, "*"); whole {
		path = begin + "{channel}"
	}
	spans := s.options.Tracer.Route(r.method, path)
	return func(c echo.Context) error {
		ctx, recorded := spans.Begin(c.Request())
		c.SetRequest(c.Request().WithContext(ctx))
		if recorded {
			s.record(c, spans, next)
			return nil
		}
		return next(c)
	}
}

// record answers a request by next, and tells its span of that.
func (s *Server) record(c echo.Context, spans *tracing.Route, next echo.HandlerFunc) {
	response := c.Response()
	outer := response.Writer
	defer func() { response.Writer = outer }()
	spans.Serve(outer, c.Request(), func(w http.ResponseWriter, ctx context.Context) {
		response.Writer = w
		c.SetRequest(c.Request().WithContext(ctx))
		if err := next(c); err != nil {
			s.answerError(err, c) // here, as the span has the status
		}
	})
}

// publishing is what the node tells of publications, nil where the server makes no spans.
func (s *Server) publishing() func(context.Context, []broker.Message) (context.Context, func([]broker.Result)) {
	if s.options.Tracer == nil {
		return nil
	}
	return s.options.Tracer.Publishing
}

// delivered is what the hub tells of deliveries, nil where the server makes no spans.
func (s *Server) delivered() func(hub.Delivery) {
	if s.options.Tracer == nil {
		return nil
	}
	return s.options.Tracer.Delivered
}
