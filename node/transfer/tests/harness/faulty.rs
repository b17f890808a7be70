//! A service that does one thing wrong, in front of one that does not.

use futures_util::{StreamExt, stream, stream::BoxStream};
use ncore_proto::blobs::v1::{
    FetchRequest, Frame, PinReply, PinRequest, PushPart, PushReply, StatReply, StatRequest, UnpinReply, UnpinRequest, blobs_server::Blobs,
};
use ncore_transfer::BlobService;
use tonic::{Request, Response, Status, Streaming};

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// A bit of every frame is flipped; the byte is given in thousandths of the frame.
    FlipAt(usize),
    /// Frames are cut short by a byte.
    Shorten,
    /// Frames carry the number of the next slice.
    Misnumber,
    /// The connection breaks after so many frames.
    CutAfter(usize),
    /// The stream ends, as if all had been sent, after so many frames.
    EndAfter(usize),
    /// After so many frames none comes any more.
    StallAfter(usize),
    /// Pushes are never read.
    StallPush,
}

pub(crate) struct Faulty {
    pub(crate) inner: BlobService,
    pub(crate) fault: Fault,
}

fn damaged(mut frame: Frame, fault: Fault) -> Frame {
    let mut data = frame.data.to_vec();
    match fault {
        Fault::FlipAt(thousandths) => {
            let at = (data.len() - 1) * thousandths / 1_000;
            data[at] ^= 0x10;
        }
        Fault::Shorten => {
            data.pop();
        }
        Fault::Misnumber => frame.slice += 1,
        Fault::CutAfter(_) | Fault::EndAfter(_) | Fault::StallAfter(_) | Fault::StallPush => {}
    }
    frame.data = data.into();
    frame
}

#[tonic::async_trait]
impl Blobs for Faulty {
    type FetchStream = BoxStream<'static, Result<Frame, Status>>;

    async fn fetch(&self, request: Request<FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        let fault = self.fault;
        let frames = self.inner.fetch(request).await?.into_inner();
        let frames = frames.map(move |frame| frame.map(|frame| damaged(frame, fault)));
        Ok(Response::new(match fault {
            Fault::CutAfter(frames_sent) => {
                let broken = stream::once(async { Err(Status::unavailable("the line is cut")) });
                frames.take(frames_sent).chain(broken).boxed()
            }
            Fault::EndAfter(frames_sent) => frames.take(frames_sent).boxed(),
            Fault::StallAfter(frames_sent) => frames.take(frames_sent).chain(stream::pending()).boxed(),
            _ => frames.boxed(),
        }))
    }

    async fn push(&self, request: Request<Streaming<PushPart>>) -> Result<Response<PushReply>, Status> {
        if matches!(self.fault, Fault::StallPush) {
            let _unread = request;
            std::future::pending::<()>().await;
            return Err(Status::cancelled("unreachable"));
        }
        self.inner.push(request).await
    }

    async fn pin(&self, request: Request<PinRequest>) -> Result<Response<PinReply>, Status> {
        self.inner.pin(request).await
    }

    async fn unpin(&self, request: Request<UnpinRequest>) -> Result<Response<UnpinReply>, Status> {
        self.inner.unpin(request).await
    }

    async fn stat(&self, request: Request<StatRequest>) -> Result<Response<StatReply>, Status> {
        self.inner.stat(request).await
    }
}
