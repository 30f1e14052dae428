"""Shapes of the layout, as start and updateLayout have it (contract §4), and of what we add to it. Types only."""

from __future__ import annotations

from pydantic import Field

from gateway.wire.body import Shape
from scheduler import orders


class LayoutRegion(Shape):
    uid: str = ""
    x_axis: float = Field(alias="x_axis")
    y_axis: float = Field(alias="y_axis")
    width: float
    height: float
    alpha: float = 1.0
    render_mode: int = Field(0, alias="render_mode")


class BackgroundConfig(Shape):
    uid: str
    image_url: str = Field(alias="image_url")
    render_mode: int = Field(0, alias="render_mode")


class ContentFields(Shape):
    """Something laid on the layout by hand: our extension, docs/reference/layouts.md."""

    kind: str = Field(description="video, screen, media, whiteboard, picture, text or timestamp.")
    left: float = Field(0.0, description="In `unit`, as the three that follow.")
    top: float = 0.0
    width: float = Field(0.0, description="0: what a text needs; for a picture, all up to the edge.")
    height: float = 0.0
    unit: str = Field("px", description="px or fraction, of the canvas.")
    keep_aspect_ratio: bool = Field(True, description="true: whole; false: cropped to its size.")
    source: str = Field(
        "", description="Of video: `user` or `user.n`; of screen, media, whiteboard: a user, or empty for anybody's."
    )
    url: str = Field("", description="Of a picture: http or https.")
    text: str = Field("", description="`%timestamp%` in it becomes YYYY-MM-DD HH:MM:SS.")
    color: str = Field("#FFFFFF", description="#RRGGBB or #RRGGBBAA, as `background`.")
    background: str = "#0000007D"
    font_size: int = Field(18, description="Pixels, 4 to 256.")
    text_margin: int = Field(5, description="Pixels, 0 to 256.")
    utc_offset_min: int = Field(0, description="Minutes from UTC of the time that is shown.")

    def order(self) -> orders.Content:
        said = {name: getattr(self, name) for name in ContentFields.model_fields}
        given = frozenset(str(ContentFields.model_fields[name].alias) for name in self.model_fields_set & said.keys())
        return orders.Content(given=given, **said)


class LayoutFields(Shape):
    mixed_video_layout: int = 0
    max_resolution_uid: str = ""
    background_color: str = "#000000"
    background_image: str = ""
    default_user_background_image: str = ""
    layout_config: list[LayoutRegion] = Field(default_factory=list)
    background_config: list[BackgroundConfig] = Field(default_factory=list)
    contents: list[ContentFields] = Field(
        default_factory=list, description="Our extension: laid on the layout, at most 64."
    )
    after_stop: str = Field(
        "background",
        description="Our extension: what follows 3.5 s after a stream stopped that has no picture: background or last_frame.",
    )

    def layout(self) -> orders.Layout:
        return orders.Layout(
            mixed_video_layout=self.mixed_video_layout,
            max_resolution_uid=self.max_resolution_uid,
            background_color=self.background_color,
            background_image=self.background_image,
            default_user_background_image=self.default_user_background_image,
            regions=tuple(
                orders.LayoutRegion(
                    uid=r.uid, x=r.x_axis, y=r.y_axis, width=r.width, height=r.height,
                    alpha=r.alpha, render_mode=r.render_mode,
                )
                for r in self.layout_config
            ),
            backgrounds=tuple(
                orders.UserPicture(uid=b.uid, image_url=b.image_url, render_mode=b.render_mode)
                for b in self.background_config
            ),
            contents=tuple(content.order() for content in self.contents),
            after_stop=self.after_stop,
        )  # fmt: skip
